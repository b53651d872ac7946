//! The document on made-up figures.

use super::super::cost::{Cost, Figure};
use super::super::host::Host;
use super::super::memory::Use;
use super::super::operation::Operation;
use super::super::speed::Speed;
use super::super::startup::Startup;
use super::super::stats::Spread;
use super::super::storm::Weathered;
use super::super::stream::{Flood, Stream};
use super::super::tracer::Memory;
use super::*;

fn spread(median: f64) -> Spread {
    Spread { median, low: median * 0.9, high: median * 1.1 }
}

fn cost(name: &str, operations: &[Operation], ratio: f64, lossy: usize) -> Cost {
    let figure = |&operation: &Operation| {
        let untraced = 100.0 * (operation as u8 + 1) as f64;
        Figure { operation, untraced: spread(untraced), added: spread(untraced * (ratio - 1.0)), ratio: spread(ratio) }
    };
    Cost {
        name: name.to_owned(),
        mechanism: (!name.contains("snoop")).then(|| "fentry".to_owned()),
        skipped: None,
        figures: operations.iter().map(figure).collect(),
        rounds: 9,
        lossy,
        disturbed: lossy / 2,
    }
}

fn figures() -> Figures {
    let memory = |mib: u64| Memory { resident: mib << 20, peak: mib << 20, anonymous: mib << 19, maps: mib << 22 };
    let speed = |command: &str, rate, lost, cpu| Speed {
        command: command.to_owned(),
        rate,
        writes_per_second: 2e6,
        events_per_second: 2e6 * (1.0 - lost),
        lost,
        cpu,
        adds_up: true,
    };
    let stream = |name: &str, lost, lossless| Stream {
        name: name.to_owned(),
        operation: Operation::Pwrite,
        flood: Flood { rate: 1e6, lost, line_ns: (lost < 1.0).then_some(2e3 + 1e4 * lost) },
        lossless,
    };
    let startup = |command: &str, wall| Startup {
        command: command.to_owned(),
        mechanism: "fentry".to_owned(),
        wall_ms: spread(wall),
        cpu_ms: spread(wall / 2.0),
        end_ms: spread(wall / 4.0),
        starts: 11,
    };
    let skipped = Cost { skipped: Some("No such file\nor directory".to_owned()), ..cost("filetop", &[], 1.0, 0) };
    Figures {
        place: Place::Here,
        host: Host {
            kernel: "6.12.0".to_owned(),
            cpu: "Example CPU".to_owned(),
            cores: 2,
            memory_gib: 24.0,
            file_system: "ext4".to_owned(),
            date: "2026-11-20".to_owned(),
        },
        load: (1.5, 2.5),
        command: "cargo xtask bench".to_owned(),
        disk: Some("a loop device".to_owned()),
        costs: vec![
            cost("(nothing)", &Operation::ALL, 1.0, 0),
            cost("top --mechanism fentry", &Operation::ALL, 2.0, 0),
            cost("open", &[Operation::OpenClose], 1.5, 4),
            cost("opensnoop -F", &[Operation::OpenClose], 3.0, 0),
            skipped,
        ],
        startups: vec![startup("top", 70.0), startup("open", 81.0)],
        memory: vec![Use { command: "top -i 4s".to_owned(), before: memory(10), after: memory(33) }],
        storms: vec![Weathered {
            command: "top --op write".to_owned(),
            storm: "files".to_owned(),
            count: 1_000_000,
            bytes: 60 << 20,
            peak: 70 << 20,
            folded: 981_569,
            adds_up: Some(true),
        }],
        speeds: vec![speed("top", Some(100_000), 0.0, 0.001), speed("events", None, 0.75, 0.99)],
        streams: vec![
            stream("events", 0.1, Some(300e3)),
            stream("bpftrace", 0.5, Some(30e3)),
            stream("slow", 1.0, None),
        ],
    }
}

#[test]
fn document_holds_every_figure_and_says_what_it_means() {
    insta::assert_snapshot!(document(&figures(), ""));
}

#[test]
fn each_run_replaces_its_own_part() {
    let first = document(&figures(), "");
    let other = Figures { place: Place::Vm, ..figures() };
    let both = document(&other, &first);
    assert!(both.starts_with(&first) && both.contains("emulates two processors"));
    assert_eq!(document(&figures(), &both), both);
    assert_eq!(document(&other, &both), both);
}

#[test]
fn terminal_gets_the_tables_alone() {
    let tables = tables(&figures());
    assert!(tables.contains("| `top") && tables.contains("Events without loss"));
    assert!(!tables.contains("Read the ratios"));
}
