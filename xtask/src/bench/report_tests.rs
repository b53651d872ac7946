//! The report on made-up figures.

use super::super::Traced;
use super::super::speed::Speed;
use super::super::tracer::Memory;
use super::*;

fn figures() -> Figures {
    let spread = |median| Spread { median, low: median * 0.9, high: median * 1.1 };
    let cost = |command, ratio: f64, lossy| Cost {
        command,
        untraced: [100.0, 300.0, 200.0, 900.0].map(spread),
        added: [100.0, 300.0, 200.0, 900.0].map(|untraced| spread(untraced * (ratio - 1.0))),
        ratio: [spread(ratio); 4],
        rounds: 9,
        lossy,
        disturbed: lossy / 2,
    };
    let startup = |command, wall| Startup { command, wall_ms: spread(wall), cpu_ms: spread(wall / 2.0), starts: 11 };
    let memory = |mib: u64| Memory { resident: mib << 20, peak: mib << 20, anonymous: mib << 19, maps: mib << 22 };
    let use_of = |command, mib| Use { command, before: memory(10), after: memory(mib) };
    let speed = |command, lost, cpu| Speed {
        command,
        writes_per_second: 2e6,
        events_per_second: 2e6 * (1.0 - lost),
        lost,
        cpu,
        adds_up: true,
    };
    let host = Host {
        kernel: "6.12.0".to_owned(),
        cpu: "Example CPU".to_owned(),
        cores: 2,
        memory_gib: 24.0,
        file_system: "ext4".to_owned(),
        date: "2026-11-20".to_owned(),
    };
    Figures {
        host,
        load: (1.5, 2.5),
        quick: false,
        mechanism: "tracepoint".to_owned(),
        costs: vec![cost(None, 1.0, 0), cost(Traced::ALL.first(), 2.0, 0), cost(Traced::ALL.last(), 3.0, 4)],
        startups: vec![startup(&Traced::ALL[0], 100.0), startup(&Traced::ALL[1], 151.0)],
        memory: vec![use_of("top -i 4s", 48), use_of("open", 49)],
        speeds: Speeds {
            full: vec![speed("top", 0.0, 0.001), speed("events", 0.75, 0.99)],
            lossless: Some(300e3),
            lossy: Some(400e3),
        },
    }
}

#[test]
fn document_holds_every_figure_and_says_what_it_means() {
    insta::assert_snapshot!(document(&figures()));
}

#[test]
fn terminal_gets_the_tables_alone() {
    let tables = tables(&figures());
    assert!(tables.contains("| `top`") && tables.contains("Events without loss"));
    assert!(!tables.contains("Read the ratios"));
}
