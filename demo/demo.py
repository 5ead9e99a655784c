"""Shows vectorfill at work: starts redis-server with both modules, loads a graph of notes, watches
their vectors come, asks two questions that share no word with their answers, and takes yours."""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

HERE = Path(__file__).resolve().parent
DEPS = HERE.parent / ".deps"
GRAPH = "tarrow"
NEAREST = """
CALL db.idx.vector.queryNodes('Note', 'embedding', 1, vecf32($vector)) YIELD node AS note, score
OPTIONAL MATCH (author:Person)-[:WROTE]->(note)
OPTIONAL MATCH (note)-[:ABOUT]->(place:Place)
OPTIONAL MATCH (later:Note)-[:FOLLOWS]->(note)
RETURN note.id, note.title, note.text, score, author.name, author.role,
       collect(DISTINCT place.name), collect(DISTINCT later.title)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(args, folder, port):
    settings = ["provider", args.provider, "label", "", "interval", "300"]
    if args.provider == "local":
        settings += ["model", str(DEPS / "model")]
    command = [
        DEPS / "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder,
        "--save", "", "--logfile", "redis.log",
        "--loadmodule", os.path.abspath(args.module), *settings,
        "--loadmodule", DEPS / "falkordb.so",
    ]  # fmt: skip
    return subprocess.Popen([str(word) for word in command])


def connect(server, port, folder):
    client = redis.Redis(port=port, decode_responses=True)
    for _ in range(600):
        if server.poll() is not None:
            sys.exit((Path(folder) / "redis.log").read_text())
        try:
            if client.execute_command("VECTORFILL.STATUS")["state"] == "idle":
                return client
        except redis.ConnectionError:
            pass
        time.sleep(0.05)
    sys.exit("the server did not become ready")


def literal(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def query(client, cypher, **parameters):
    prefix = "".join(f" {name}={literal(value)}" for name, value in parameters.items())
    reply = client.execute_command("GRAPH.QUERY", GRAPH, f"CYPHER{prefix} {cypher}" if prefix else cypher)
    return reply[1] if len(reply) == 3 else []


def load(client, corpus):
    query(client, "UNWIND $rows AS row CREATE (:Place {name: row.name, kind: row.kind})", rows=corpus["places"])
    query(
        client,
        "UNWIND $rows AS row MATCH (place:Place {name: row.works_at}) "
        "CREATE (:Person {name: row.name, role: row.role})-[:WORKS_AT]->(place)",
        rows=corpus["people"],
    )
    notes = [{key: note[key] for key in ("id", "title", "text", "author")} for note in corpus["notes"]]
    query(
        client,
        "UNWIND $rows AS row MATCH (author:Person {name: row.author}) "
        "CREATE (author)-[:WROTE]->(:Note {id: row.id, title: row.title, text: row.text})",
        rows=notes,
    )
    about = [{"id": note["id"], "place": place} for note in corpus["notes"] for place in note["about"]]
    query(
        client,
        "UNWIND $rows AS row MATCH (note:Note {id: row.id}), (place:Place {name: row.place}) "
        "CREATE (note)-[:ABOUT]->(place)",
        rows=about,
    )
    follows = [{"id": note["id"], "first": note["follows"]} for note in corpus["notes"] if note["follows"]]
    query(
        client,
        "UNWIND $rows AS row MATCH (note:Note {id: row.id}), (first:Note {id: row.first}) "
        "CREATE (note)-[:FOLLOWS]->(first)",
        rows=follows,
    )


def watch(client, total):
    begun = time.monotonic()
    while True:
        # Without FULL, STATUS leaves out the graphs that are finished.
        status = client.execute_command("VECTORFILL.STATUS", "FULL")
        graph = status["graphs"].get(GRAPH)
        if status["embedder"]["reason"]:
            sys.exit("embedder: " + status["embedder"]["reason"])
        done = graph["embedded"] if graph else 0
        idle = graph and graph["state"] == "idle" and graph["pending"] == 0 and done >= total
        state = graph["state"] if graph else "starting"
        width = 40 * done // max(total, 1)
        line = f"[{'#' * width}{'.' * (40 - width)}] {done}/{total} {state:<9}"
        print(f"\r{line}", end="" if sys.stdout.isatty() else "\n", flush=True)
        if idle:
            print(f"\nfilled in {time.monotonic() - begun:.1f} s")
            return
        time.sleep(0.1 if sys.stdout.isatty() else 0.5)


def ask(client, question):
    """One command embeds the question, finds the nearest note, and brings the graph around it along."""
    reply = client.execute_command("VECTORFILL.QUERY", GRAPH, NEAREST, "TEXT", question)
    note, title, text, score, author, role, places, later = reply[1][0]
    print(f"\nQ: {question}")
    print(f"A: {title}: {text}")
    print(f"   distance {float(score):.3f} | written by {author}, {role} | about {places} | followed by {later}")
    return note


def prompt(client):
    print("\nAsk the notes something; an empty line ends it.")
    while True:
        try:
            question = input("? ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not question:
            return
        try:
            ask(client, question)
        except redis.RedisError as error:
            print(error)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--provider", choices=["local", "openai"], default="local")
    parser.add_argument("--module", required=True)
    args = parser.parse_args()
    if args.provider == "openai" and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("PROVIDER=openai needs OPENAI_API_KEY in the environment")
    corpus = json.loads((HERE / "corpus.json").read_text())
    questions = json.loads((HERE / "questions.json").read_text())[:2]
    folder = tempfile.mkdtemp(prefix="vectorfill-demo-")
    port = free_port()
    server = start(args, folder, port)
    try:
        client = connect(server, port, folder)
        engine = client.execute_command("VECTORFILL.STATUS")["engine"]
        print(f"redis-server with {engine} and vectorfill on port {port}")
        load(client, corpus)
        print(f"loaded {len(corpus['notes'])} notes of {len(corpus['people'])} people; no vector yet")
        watch(client, len(corpus["notes"]))
        right = [ask(client, item["question"]) == item["answer"] for item in questions]
        print(f"\nLook around: redis-cli -p {port} VECTORFILL.STATUS")
        if sys.stdin.isatty() and sys.stdout.isatty():
            prompt(client)
        if args.provider == "local" and not all(right):
            sys.exit("an answer is not the one that was expected")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
