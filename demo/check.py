#!/usr/bin/env python3
"""Validate corpus.json and questions.json (standard library only).

Prints one line; exits 1 at the first kind of failure it finds.
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MIN_NOTES, MAX_NOTES = 280, 340
QUESTIONS = 6
MAX_SENTENCES = 3
SUFFIXES = ("ations", "ation", "ments", "ment", "ness", "ings", "ing", "ies", "ers", "er",
            "est", "ed", "es", "ly", "en", "al", "y", "s", "e")


def load(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return json.load(f)


def words(text):
    """Every word, lower case; "won't" gives "wont", "won" and "t"."""
    text = text.lower().replace("\u2019", "'")
    return set(re.findall(r"\w+", text.replace("'", ""))) | set(re.findall(r"\w+", text))


def stem(word):
    """A crude, over-eager stem: cuts suffixes while two letters remain."""
    cut = True
    while cut:
        cut = False
        for suffix in SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 2:
                word, cut = word[: -len(suffix)], True
                break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word


def shared(question, answer):
    """Words or stems that both have; also one word starting with another's first five letters."""
    q, a = words(question), words(answer)
    both = q & a
    both |= {stem(w) for w in q} & {stem(w) for w in a}
    both |= {w[:5] for w in q if len(w) >= 5} & {w[:5] for w in a if len(w) >= 5}
    return sorted(both)


def unique(values, what, errors):
    seen = set()
    for value in values:
        if not isinstance(value, str) or not value.strip():
            errors.append(f"empty {what}")
        elif value in seen:
            errors.append(f"{what} twice: {value}")
        seen.add(value)
    return seen


def check(corpus, questions):
    errors = []
    notes = corpus["notes"]
    places = unique([p["name"] for p in corpus["places"]], "place", errors)
    people = unique([p["name"] for p in corpus["people"]], "person", errors)
    topics = unique([t["name"] for t in corpus["topics"]], "topic", errors)
    ids = unique([n["id"] for n in notes], "note id", errors)
    unique([n["text"] for n in notes], "note text", errors)
    unique([n["title"] for n in notes], "note title", errors)
    if not MIN_NOTES <= len(notes) <= MAX_NOTES:
        errors.append(f"{len(notes)} notes, wanted {MIN_NOTES} to {MAX_NOTES}")
    for p in corpus["people"]:
        if p["works_at"] not in places:
            errors.append(f"{p['name']} works at unknown {p['works_at']}")
    earlier = set()
    for n in notes:
        if n["author"] not in people:
            errors.append(f"{n['id']}: unknown author {n['author']}")
        if n["topic"] not in topics:
            errors.append(f"{n['id']}: unknown topic {n['topic']}")
        if not n["about"] or len(set(n["about"])) != len(n["about"]):
            errors.append(f"{n['id']}: about is empty or repeats")
        errors += [f"{n['id']}: unknown place {p}" for p in n["about"] if p not in places]
        if n["follows"] is not None and n["follows"] not in earlier:
            errors.append(f"{n['id']}: follows {n['follows']}, which is no earlier note")
        if len(re.findall(r"[.!?](?=\s|$)", n["text"])) not in range(1, MAX_SENTENCES + 1):
            errors.append(f"{n['id']}: not 1 to {MAX_SENTENCES} sentences")
        earlier.add(n["id"])
    used = {p for n in notes for p in n["about"]}
    errors += [f"no note is about {p}" for p in sorted(places - used)]
    if len(questions) != QUESTIONS:
        errors.append(f"{len(questions)} questions, wanted {QUESTIONS}")
    unique([q["question"] for q in questions], "question", errors)
    unique([q["answer"] for q in questions], "answer", errors)
    by_id = {n["id"]: n for n in notes}
    for q in questions:
        if q["answer"] not in ids:
            errors.append(f"question answered by unknown note {q['answer']}")
            continue
        note = by_id[q["answer"]]
        both = shared(q["question"], note["title"] + " " + note["text"])
        if both:
            errors.append(f"{q['answer']} shares with its question: {', '.join(both)}")
    return errors


def main():
    try:
        corpus, questions = load("corpus.json"), load("questions.json")
        errors = check(corpus, questions)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        print(f"corpus FAILED: {type(e).__name__}: {e}")
        return 1
    if errors:
        print(f"corpus FAILED, {len(errors)} problem(s): " + "; ".join(errors[:5]))
        return 1
    notes = corpus["notes"]
    print(
        f"corpus ok: {len(notes)} notes, {len(corpus['people'])} people, {len(corpus['places'])} places, "
        f"{len(corpus['topics'])} topics, {sum(len(n['about']) for n in notes)} about, "
        f"{sum(n['follows'] is not None for n in notes)} follows; "
        f"{len(questions)} questions share no word with their answers"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
