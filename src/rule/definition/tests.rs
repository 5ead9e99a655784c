//! Tests of the parser as a whole.

use fastrand::Rng;

use super::write::{Body, Definition};
use super::*;
use crate::rule::condition::Condition;
use crate::rule::globs::Globs;
use crate::rule::name::{Name, RuleName};
use crate::rule::template::Template;
use crate::rule::testing::rule;
use crate::rule::{Order, Pattern, Similarity};

const CHARS: usize = 24_000;

fn read(text: &str) -> (Vec<Arc<Rule>>, Vec<String>) {
    let mut definitions = Definitions::default();
    definitions.add("defs", text, CHARS);
    let default = EmbedderName::default_embedder();
    let names: Vec<_> = definitions.embedders.iter().map(|e| e.name.value.clone()).collect();
    let (rules, errors) = definitions.rules(names.iter().chain([&default]));
    (rules, errors.iter().map(ToString::to_string).collect())
}

fn only(text: &str) -> Rule {
    let (rules, errors) = read(text);
    assert_eq!(errors, [""; 0], "{text}");
    Rule::clone(&rules[0])
}

#[test]
fn a_rule_says_what_is_not_at_its_default() {
    let name = |value| Name::parse("test", value).unwrap();
    let plain = Rule { name: RuleName::parse("RULE", "r").unwrap(), ..rule() };
    assert_eq!(only("rule r node Doc text text into embedding"), plain);
    let full = "EMBEDDER ada PROVIDER openai\n\
        RULE r PRIORITY -3 ORDER Oldest WHERE \"r.a = 'x'\" REFRESH yes INDEX euclidean \\\n\
        DIMENSIONS 1024 EMBEDDER ada INTO vec TEXT \"{a}[: {b}]\" REL A REL 'B C' GRAPHS \"* !kg-*\"";
    let expected = Rule {
        graphs: Globs::parse("GRAPHS", "* !kg-*").unwrap(),
        pattern: Pattern::Relationships(vec![name("A"), name("B C")]),
        text: Template::parse("TEXT", "{a}[: {b}]").unwrap(),
        target: name("vec"),
        error_property: name("vec_error"),
        embedder: EmbedderName::parse("EMBEDDER", "ada").unwrap(),
        dimensions: std::num::NonZeroUsize::new(1_024),
        index: Some(Similarity::Euclidean),
        refresh: true,
        condition: Condition::parse("WHERE", "r.a = 'x'").ok(),
        order: Order::Oldest,
        priority: -3,
        ..plain.clone()
    };
    assert_eq!(only(full), expected);
    let any = only("RULE r NODE * TEXT t INTO v DIMENSIONS auto INDEX no REFRESH no ORDER newest");
    assert_eq!((any.pattern, any.index, any.dimensions), (Pattern::Nodes(vec![]), None, None));
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_would_be_right() {
    for (text, expected) in [
        (
            "\nRULES r",
            "defs, line 2, column 1: 'RULES' is not allowed: a line begins with EMBEDDER",
        ),
        ("RULE", "'RULE' is not allowed: RULE needs a name"),
        ("RULE a/b NODE D TEXT t INTO v", "column 6: 'a/b' is not allowed: RULE: a name of"),
        ("RULE r TEXT t INTO v", "'r' is not allowed: a rule needs NODE"),
        ("RULE r NODE D INTO v", "a rule needs TEXT"),
        ("RULE r NODE D TEXT t", "a rule needs INTO"),
        ("RULE r NODE D TEXT t INTO", "column 22: 'INTO' is not allowed: INTO needs a value"),
        ("RULE r NODE D TEXT t TEXT u INTO v", "TEXT is given already, at defs, line 1, column 20"),
        ("RULE r NODE D E TEXT t INTO v", "column 15: 'E' is not allowed: one of: GRAPHS, NODE"),
        ("RULE r NODE D REL E TEXT t INTO v", "column 15: 'REL' is not allowed: a rule fills"),
        ("RULE r NODE D NODE * TEXT t INTO v", "column 20: '*' is not allowed: * means any"),
        ("RULE r NODE D NODE D TEXT t INTO v", "named already"),
        ("RULE r NODE D TEXT {t INTO v", "column 20: '{t' is not allowed: TEXT: { without }"),
        ("RULE r NODE D TEXT t INTO t", "column 27: 't' is not allowed: INTO: a property"),
        ("RULE r NODE D TEXT v_error INTO v", "errors go into v_error"),
        ("RULE r NODE D TEXT t INTO v INDEX dot", "'dot' is not allowed: INDEX: one of: cosine"),
        ("RULE r NODE D TEXT t INTO v REFRESH on", "REFRESH: yes or no"),
        ("RULE r NODE D TEXT t INTO v DIMENSIONS 0", "AUTO, or 1 to 65536"),
        ("RULE r NODE D TEXT t INTO v ORDER up", "newest or oldest"),
        ("RULE r NODE D TEXT t INTO v PRIORITY x", "a whole number"),
        ("RULE r NODE D TEXT t INTO v WHERE ')'", "column 35: ')' is not allowed: WHERE:"),
        ("RULE r GRAPHS a[ NODE D TEXT t INTO v", "column 15: 'a[' is not allowed: GRAPHS:"),
        ("RULE r GRAPHS !a NODE D TEXT t INTO v", "without a !"),
        (
            "RULE r NODE D TEXT t INTO v EMBEDDER x",
            "column 38: 'x' is not allowed: EMBEDDER: one \
                                                    that is defined: default",
        ),
        ("EMBEDDER e MODEL m", "'e' is not allowed: an embedder needs PROVIDER"),
        ("EMBEDDER e PROVIDER p COLOUR red", "'COLOUR' is not allowed: one of: PROVIDER, MODEL"),
        ("EMBEDDER e PROVIDER p RPM many", "RPM: a whole number"),
        ("EMBEDDER e PROVIDER p PRICE -1", "PRICE: US$ for a million tokens"),
        ("EMBEDDER e PROVIDER p MODEL ''", "MODEL: it must not be empty"),
        ("EMBEDDER e PROVIDER p KEY-ENV A KEY-FILE b", "either KEY-ENV or KEY-FILE"),
        ("EMBEDDER e PROVIDER p QUERY q", "need an INPUT-TYPE-FIELD"),
    ] {
        let (rules, errors) = read(text);
        assert!(rules.is_empty() && errors.len() == 1, "{text}: {errors:?}");
        assert!(errors[0].contains(expected), "{text}: {}", errors[0]);
    }
}

#[test]
fn what_is_wrong_costs_its_own_line_only() {
    let (rules, errors) = read(
        "EMBEDDER e PROVIDER openai\n\
         EMBEDDER e PROVIDER voyage\n\
         RULE a NODE A TEXT t INTO v EMBEDDER e\n\
         RULE b NODE B TEXT t\n\
         RULE a NODE C TEXT t INTO v\n\
         RULE c NODE C NODE A TEXT t INTO v\n\
         RULE d NODE * TEXT t INTO v GRAPHS kb\n\
         RULE f NODE A TEXT t INTO w\n\
         RULE g REL A TEXT t INTO v",
    );
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["a", "f", "g"]);
    for (error, parts) in errors.iter().zip([
        ["line 2, column 10: 'e'", "at defs, line 1, column 10"],
        ["line 4, column 6: 'b'", "INTO"],
        ["line 5, column 6: 'a'", "at defs, line 3, column 6"],
        ["line 6, column 6: 'c'", "'c' and 'a' (at defs, line 3, column 6)"],
        ["line 7, column 6: 'd'", "'d' and 'a'"],
    ]) {
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert_eq!(errors.len(), 5);
}

#[test]
fn rules_for_different_graphs_may_fill_the_same_property() {
    let (rules, errors) = read(
        "RULE a GRAPHS a-* NODE D TEXT t INTO v\nRULE b GRAPHS b-* NODE D TEXT t INTO v\n\
         RULE c GRAPHS a-* NODE D TEXT t INTO v",
    );
    assert_eq!((rules.len(), errors.len()), (2, 1), "{errors:?}");
}

#[test]
fn an_embedder_keeps_what_was_given_and_where() {
    let mut definitions = Definitions::default();
    let text = "EMBEDDER e provider custom Model m QUERY-MODEL q URL u KEY-ENV '' DIMENSIONS 8 \
        DOCUMENT-PREFIX 'd: ' QUERY-PREFIX 'q: ' BATCH 1 BATCH-TOKENS 2 CONCURRENCY 3 RPM 4 TPM 5 \
        TIMEOUT 6 TRUNCATE no PRICE 0.12 BUDGET 50000000 PATH /p AUTH-HEADER h DIMENSIONS-FIELD \
        none INPUT-TYPE-FIELD f DOCUMENT d QUERY q EXTRA '{\"a\": 1}' BASE64 no";
    definitions.add("defs", text, CHARS);
    assert_eq!(definitions.errors, []);
    let EmbedderDefinition { name, provider, fields } = definitions.embedders.remove(0);
    assert_eq!((name.value.as_str(), provider.value.as_str()), ("e", "custom"));
    let text = |given: Option<Given<String>>| given.unwrap().value;
    assert_eq!(text(fields.model) + &text(fields.query_model), "mq");
    assert_eq!(text(fields.extra), "{\"a\": 1}");
    assert_eq!(fields.price.map(|price| price.value), Some(0.12));
    assert_eq!(fields.truncate.map(|truncate| truncate.value), Some(false));
    let timeout = fields.timeout_ms.unwrap();
    assert_eq!((timeout.value, timeout.place.to_string().contains("line 1")), (6, true));
}

#[test]
fn a_graphs_own_rule_is_set_by_arguments() {
    let set = |words: &[&str]| {
        let words = words.iter().enumerate();
        let words = words.map(|(i, w)| Word::parse(w.as_bytes(), Place::Argument(i + 3)).unwrap());
        let words: Vec<Word> = words.collect();
        rule::parse(&words[0], &words[1..], Scope::Graph, CHARS)
    };
    let set_rule = set(&["r", "NODE", "A B", "TEXT", "t", "INTO", "v"]).unwrap();
    assert_eq!(Body(&set_rule.rule).to_string(), "NODE \"A B\" TEXT t INTO v");
    let error = set(&["r", "NODE", "A", "GRAPHS", "*"]).unwrap_err().to_string();
    assert!(error.starts_with("argument 6: 'GRAPHS' is not allowed: no GRAPHS"), "{error}");
}

#[test]
fn a_rule_written_and_read_again_is_the_same() {
    let mut rng = Rng::with_seed(3);
    for _ in 0..5_000 {
        let rule = random_rule(&mut rng);
        let written = Definition(&rule).to_string();
        assert!(!written.contains(['\n', '\0']), "{written:?}");
        let name = rule.embedder.as_str();
        let embedder = format!("EMBEDDER {name} PROVIDER local\n");
        assert_eq!(only(&(embedder + &written)), rule, "{written}");
    }
}

fn random_rule(rng: &mut Rng) -> Rule {
    let names: Vec<Name> = (0..rng.usize(..3)).map(|i| random_name(rng, &i.to_string())).collect();
    let text = if rng.bool() {
        Template::property(random_name(rng, "t"))
    } else {
        let (a, b) = (random_name(rng, "a"), random_name(rng, "b"));
        let source = format!("{{{}}}: [ \\'\"{{{}}}]", a.as_str(), b.as_str());
        Template::parse("TEXT", &source).unwrap()
    };
    let target = random_name(rng, "v");
    let condition = Condition::parse("WHERE", "n.a = 'x \\' y' AND n.`b\n` > \"\\\"\" ");
    Rule {
        name: RuleName::parse("RULE", &format!("r-{}", rng.u8(..))).unwrap(),
        graphs: Globs::parse("GRAPHS", ["*", "* !k'g", "a{b,c} \"d", "é"][rng.usize(..4)]).unwrap(),
        pattern: if rng.bool() { Pattern::Nodes(names) } else { Pattern::Relationships(names) },
        text,
        error_property: target.error_property(),
        target,
        embedder: EmbedderName::parse("EMBEDDER", ["default", "e"][rng.usize(..2)]).unwrap(),
        dimensions: std::num::NonZeroUsize::new(rng.usize(..3)),
        index: [None, Some(Similarity::Cosine), Some(Similarity::Euclidean)][rng.usize(..3)],
        refresh: rng.bool(),
        condition: condition.ok().filter(|_| rng.bool()),
        order: if rng.bool() { Order::Newest } else { Order::Oldest },
        priority: rng.i32(-1..=1),
        max_text_chars: CHARS,
    }
}

/// Any name that a template may hold, ending in `end`.
fn random_name(rng: &mut Rng, end: &str) -> Name {
    let chars =
        ['a', ' ', '"', '\'', '\\', '#', '\n', '\t', '\r', '\u{1}', '\u{7f}', 'é', '\u{2028}'];
    let name: String = (0..rng.usize(..6)).map(|_| chars[rng.usize(..chars.len())]).collect();
    Name::parse("test", &(name + end)).unwrap()
}

/// What definitions are made of, and what they are not.
const PIECES: [&str; 49] = [
    "RULE",
    "EMBEDDER",
    "r",
    "e",
    "NODE",
    "REL",
    "*",
    "TEXT",
    "INTO",
    "GRAPHS",
    "WHERE",
    "INDEX",
    "no",
    "PROVIDER",
    "openai",
    "DIMENSIONS",
    "9",
    "-1",
    "PRICE",
    "nan",
    "\"",
    "'",
    "\\",
    "\\x",
    "\\xff",
    "\\x00",
    "{",
    "}",
    "[",
    "]",
    "#",
    "\n",
    "\r\n",
    "\\\n",
    " ",
    " ",
    " ",
    "\t",
    "é",
    "\0",
    "\u{feff}",
    "\u{fffd}",
    "`",
    "a{",
    "QUERY",
    "99999999999999999999",
    "!",
    ",",
    "\u{85}",
];

#[test]
fn no_text_whatever_makes_the_parser_panic() {
    let mut rng = Rng::with_seed(5);
    for _ in 0..20_000 {
        let text: String =
            (0..rng.usize(..60)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect();
        let (_, errors) = read(&text);
        let clean = |error: &String| !error.contains(['\n', '\r', '\0']) && error.len() < 1_000;
        assert!(errors.iter().all(clean), "{text:?}: {errors:?}");
    }
}
