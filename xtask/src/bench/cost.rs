//! What an operation costs more while a command traces: rounds in which traced and untraced measurements take turns.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::foreign::Watch;
use super::load::{Operation, PAUSE, SLICE};
use super::stats::Spread;
use super::tracer::{Output, Tracer};
use super::{Bench, Plan, Traced};

const OPERATIONS: usize = Operation::ALL.len();

/// Figures of one command, operations in the order of [`Operation::ALL`].
pub(crate) struct Cost {
    /// `None` for the control: rounds in which nothing was started.
    pub(crate) command: Option<&'static Traced>,
    /// Nanoseconds per operation without tracing, mean of before and after.
    pub(crate) untraced: [Spread; OPERATIONS],
    /// Nanoseconds added to that.
    pub(crate) added: [Spread; OPERATIONS],
    /// Traced divided by untraced.
    pub(crate) ratio: [Spread; OPERATIONS],
    /// Rounds.
    pub(crate) rounds: usize,
    /// Rounds in which an event was lost; it costs less than one that is sent.
    pub(crate) lossy: usize,
    /// Rounds in which another program traced too; left out, unless that were all.
    pub(crate) disturbed: usize,
}

/// One command's rounds.
struct Rounds {
    command: Option<&'static Traced>,
    turns: Vec<Turn>,
}

/// One command in one round.
struct Turn {
    /// Untraced and traced nanoseconds.
    pairs: [(f64, f64); OPERATIONS],
    /// Another program traced too.
    disturbed: bool,
    /// An event was lost.
    lossy: bool,
}

/// All operations once.
#[derive(Clone, Copy)]
struct Measured {
    ns: [f64; OPERATIONS],
    disturbed: bool,
}

/// Measures all commands, and the control, in turn, until each has its rounds or the time is over.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Vec<Cost>> {
    let commands = [None].into_iter().chain(Traced::ALL.iter().map(Some));
    let mut all: Vec<_> = commands.map(|command| Rounds { command, turns: Vec::new() }).collect();
    let watch = Watch::start();
    let began = Instant::now();
    for round in 1.. {
        let round_began = Instant::now();
        eprintln!("xtask: cost of operations, round {round} of {}", plan.rounds);
        let mut before = operations(bench, plan, &watch)?;
        for rounds in &mut all {
            before = rounds.turn(bench, plan, &watch, before)?;
        }
        // What comes first in one round comes last in the next.
        all.reverse();
        if all.iter().all(|rounds| rounds.clean() >= plan.rounds) {
            break;
        }
        if began.elapsed() + round_began.elapsed() > plan.cost_limit() {
            eprintln!("xtask: the machine is busy: no time for more rounds");
            break;
        }
    }
    let place =
        |rounds: &Rounds| rounds.command.and_then(|command| Traced::ALL.iter().position(|other| other == command));
    all.sort_by_key(place);
    Ok(all.into_iter().map(Rounds::cost).collect())
}

fn operations(bench: &mut Bench, plan: &Plan, watch: &Watch) -> Result<Measured> {
    watch.take();
    let ns = bench.worker.measure(plan.slices)?;
    Ok(Measured { ns, disturbed: watch.take() })
}

impl Rounds {
    /// Measures traced, then untraced again; that is what comes before the next command.
    fn turn(&mut self, bench: &mut Bench, plan: &Plan, watch: &Watch, before: Measured) -> Result<Measured> {
        let (traced, lossy) = match self.command {
            Some(command) => {
                let tracer = Tracer::start(&bench.iotrace, &command.arguments(&["--strict"]), Output::Discarded)?;
                let traced = operations(bench, plan, watch)?;
                (traced, tracer.stop()?.lost)
            }
            None => (operations(bench, plan, watch)?, false),
        };
        let after = operations(bench, plan, watch)?;
        let pairs = std::array::from_fn(|i| ((before.ns[i] + after.ns[i]) / 2.0, traced.ns[i]));
        let disturbed = before.disturbed || traced.disturbed || after.disturbed;
        self.turns.push(Turn { pairs, disturbed, lossy });
        Ok(after)
    }

    fn clean(&self) -> usize {
        self.turns.iter().filter(|turn| !turn.disturbed).count()
    }

    /// From the rounds in which nobody else traced, or from all when there are none.
    fn cost(mut self) -> Cost {
        let disturbed = self.turns.len() - self.clean();
        let all_disturbed = self.clean() == 0;
        self.turns.retain(|turn| !turn.disturbed || all_disturbed);
        let spread = |of: fn((f64, f64)) -> f64| {
            std::array::from_fn(|operation| Spread::of(self.turns.iter().map(|turn| of(turn.pairs[operation]))))
        };
        Cost {
            command: self.command,
            untraced: spread(|(untraced, _)| untraced),
            added: spread(|(untraced, traced)| traced - untraced),
            ratio: spread(|(untraced, traced)| traced / untraced),
            rounds: self.turns.len(),
            lossy: self.turns.iter().filter(|turn| turn.lossy).count(),
            disturbed,
        }
    }
}

impl Plan {
    /// Time for all rounds, on a machine that is not too busy.
    fn cost_limit(&self) -> Duration {
        /// To start and end the commands of a round.
        const STARTS: Duration = Duration::from_secs(4);
        let measurements = OPERATIONS * (2 * Traced::ALL.len() + 3);
        let measured = (SLICE + PAUSE) * u32::try_from(self.slices * measurements).unwrap_or(u32::MAX);
        (measured + STARTS) * u32::try_from(self.rounds).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(turns: &[(f64, f64, bool)]) -> Rounds {
        let turn = |&(untraced, traced, disturbed)| Turn {
            pairs: [(untraced, traced); OPERATIONS],
            disturbed,
            lossy: untraced > 150.0,
        };
        Rounds { command: None, turns: turns.iter().map(turn).collect() }
    }

    #[test]
    fn ratio_and_difference_are_made_within_a_round() {
        // The machine became twice as slow in the second round: the ratio stays.
        let cost = rounds(&[(100.0, 150.0, false), (200.0, 300.0, false)]).cost();
        assert_eq!(cost.ratio[0], Spread { median: 1.5, low: 1.5, high: 1.5 });
        assert_eq!(cost.added[0].median, 75.0);
        assert_eq!((cost.rounds, cost.lossy, cost.disturbed), (2, 1, 0));
    }

    #[test]
    fn rounds_with_another_tracer_count_only_when_there_are_no_others() {
        let cost = rounds(&[(100.0, 150.0, false), (200.0, 220.0, true)]).cost();
        assert_eq!((cost.ratio[0].median, cost.rounds, cost.disturbed), (1.5, 1, 1));
        let cost = rounds(&[(200.0, 220.0, true)]).cost();
        assert_eq!((cost.ratio[0].median, cost.rounds, cost.disturbed), (1.1, 1, 1));
    }
}
