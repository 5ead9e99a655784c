//! What is told: lines while it runs, then a Markdown table and charts in target/bench/.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::chart::Chart;

/// The parts in the order of the document.
pub const PARTS: [&str; 15] = [
    "speed", "threads", "ping", "readers", "fresh", "scale", "graphs", "rules", "idle", "reading",
    "filter", "economy", "question", "local", "real",
];

/// One part of the document.
pub struct Section {
    name: &'static str,
    text: String,
    charts: Vec<Chart>,
}

impl Section {
    pub fn new(name: &'static str, title: &str, about: &str) -> Self {
        Self { name, text: format!("## {title}\n\n{about}\n\n"), charts: Vec::new() }
    }

    pub fn head(&mut self, cells: &[&str]) {
        self.text += &format!("| {} |\n|{}\n", cells.join(" | "), "---|".repeat(cells.len()));
    }

    pub fn row(&mut self, cells: &[String]) {
        let row = format!("| {} |", cells.join(" | "));
        eprintln!("{row}");
        self.text += &row;
        self.text += "\n";
    }

    pub fn paragraph(&mut self, words: &str) {
        self.text += &format!("\n{words}\n\n");
    }

    pub fn chart(&mut self, chart: Chart) {
        self.charts.push(chart);
    }

    /// Prints the part, and writes it beside those measured earlier: one can be measured again alone.
    pub fn finish(mut self) {
        let folder = folder();
        for (at, chart) in self.charts.iter().enumerate() {
            let file = format!("{}-{}.svg", self.name, at + 1);
            fs::write(folder.join(&file), chart.svg()).unwrap();
            self.text += &format!("\n![{}]({file})\n", chart.title);
        }
        println!("{}", self.text);
        let dated = format!("{}\n<!-- {} -->\n", self.text.trim_end(), machine());
        fs::write(folder.join(format!("{}.md", self.name)), dated).unwrap();
        collect();
    }
}

/// Puts all parts that have been measured into one document.
fn collect() {
    let read = |part: &str| fs::read_to_string(folder().join(format!("{part}.md"))).ok();
    let parts: Vec<String> = PARTS.iter().filter_map(|part| read(part)).collect();
    let document = format!("Last part measured: {}.\n\n{}", machine(), parts.join("\n"));
    fs::write(folder().join("fill.md"), document).unwrap();
}

fn folder() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| format!("{}/target", env!("CARGO_MANIFEST_DIR")));
    let folder = PathBuf::from(target).join("bench");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// When and where.
fn machine() -> String {
    let date = Command::new("date").arg("+%F %H:%M").output().unwrap();
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().unwrap();
    format!("{date}, {} cores, {}", cores, model.trim_start_matches([' ', '\t', ':']))
}
