//! What an operation costs more beside a contestant: rounds in which traced and untraced measurements take turns.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::contestants::{CONTESTANTS, Contestant, What};
use super::figures::Place;
use super::foreign::Watch;
use super::operation::{Clock, Operation};
use super::running::Running;
use super::stats::Spread;
use super::{Bench, Plan, interrupt, programs};

/// Figures of one contestant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Its name.
    pub(crate) name: String,
    /// What it traced with, if it is iotrace.
    pub(crate) mechanism: Option<String>,
    /// Why it cannot run here.
    pub(crate) skipped: Option<String>,
    /// By operation.
    pub(crate) figures: Vec<Figure>,
    /// Rounds.
    pub(crate) rounds: usize,
    /// Rounds in which an event was lost; it costs less than one that is sent.
    pub(crate) lossy: usize,
    /// Rounds in which another program traced too; left out, unless that were all.
    pub(crate) disturbed: usize,
}

impl Cost {
    /// Those of an operation, if it was measured.
    pub(crate) fn figure(&self, operation: Operation) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.operation == operation)
    }
}

/// Figures of one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Which.
    pub(crate) operation: Operation,
    /// Nanoseconds without tracing, see [`untraced`].
    pub(crate) untraced: Spread,
    /// Nanoseconds added to that.
    pub(crate) added: Spread,
    /// Traced divided by untraced.
    pub(crate) ratio: Spread,
}

/// One contestant's rounds.
struct Rounds {
    contestant: &'static Contestant,
    operations: Vec<Operation>,
    mechanism: Option<String>,
    skipped: Option<String>,
    turns: Vec<Turn>,
}

/// One contestant in one round.
struct Turn {
    /// Untraced and traced nanoseconds, by operation.
    pairs: Vec<(f64, f64)>,
    /// Another program traced too.
    disturbed: bool,
    /// An event was lost.
    lossy: bool,
}

/// Measures all contestants in turn, until each has its rounds or the time is over.
pub(crate) fn measure(bench: &mut Bench, plan: &Plan) -> Result<Vec<Cost>> {
    let is_possible = |operation: &Operation| *operation != Operation::DirectRead || bench.disk.is_some();
    let rounds = |contestant: &'static Contestant| Rounds {
        contestant,
        operations: contestant.operations.iter().copied().filter(is_possible).collect(),
        mechanism: None,
        skipped: None,
        turns: Vec::new(),
    };
    let is_wanted = |contestant: &&Contestant| plan.peers || !matches!(contestant.what, What::Peer(_));
    let mut all: Vec<_> = CONTESTANTS.iter().filter(is_wanted).map(rounds).collect();
    let watch = (plan.place == Place::Here).then(Watch::start);
    let began = Instant::now();
    for round in 1.. {
        let round_began = Instant::now();
        eprintln!("xtask: cost of operations, round {round} of {}", plan.rounds);
        for rounds in &mut all {
            rounds.turn(bench, plan, watch.as_ref())?;
        }
        // What comes first in one round comes last in the next.
        all.reverse();
        if all.iter().all(|rounds| rounds.skipped.is_some() || rounds.clean() >= plan.rounds) {
            break;
        }
        if began.elapsed() + round_began.elapsed() > plan.cost_limit {
            eprintln!("xtask: no time for more rounds than {round}");
            break;
        }
    }
    let place = |rounds: &Rounds| CONTESTANTS.iter().position(|other| other == rounds.contestant);
    all.sort_by_key(place);
    Ok(all.into_iter().map(Rounds::cost).collect())
}

impl Rounds {
    /// Measures untraced, traced and untraced again.
    fn turn(&mut self, bench: &mut Bench, plan: &Plan, watch: Option<&Watch>) -> Result<()> {
        if self.skipped.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        watch.map(Watch::take);
        let programs = programs::loaded();
        let before = self.operations(bench, plan)?;
        let running = match Running::start(bench, self.contestant) {
            Ok(running) => running,
            Err(error) => {
                interrupt::check()?;
                eprintln!("xtask: no {}: {error:#}", self.contestant.name);
                self.skipped = Some(format!("{error:#}"));
                return Ok(());
            }
        };
        self.mechanism = running.mechanism().map(str::to_owned);
        let started = began.elapsed();
        let traced = self.operations(bench, plan)?;
        let lossy = running.stop()?;
        programs::wait_until(programs);
        let after = self.operations(bench, plan)?;
        let disturbed = watch.is_some_and(Watch::take);
        let untraced = before.iter().zip(after).map(|(&before, after)| untraced(plan.place, before, after));
        self.turns.push(Turn { pairs: untraced.zip(traced).collect(), disturbed, lossy });
        let (name, seconds) = (self.contestant.name, Duration::as_secs_f64);
        eprintln!("xtask:   {name}: {:.1} s, {:.1} s of them to start", seconds(&began.elapsed()), seconds(&started));
        Ok(())
    }

    fn operations(&self, bench: &mut Bench, plan: &Plan) -> Result<Vec<f64>> {
        let clock = |operation: Operation| match self.contestant.stops_the_load() {
            true => Clock::Wall,
            false => operation.clock(),
        };
        let mut measure =
            |&operation: &Operation| bench.worker.measure(operation, clock(operation), plan.slices, plan.pause);
        self.operations.iter().map(&mut measure).collect()
    }

    fn clean(&self) -> usize {
        self.turns.iter().filter(|turn| !turn.disturbed).count()
    }

    /// From the rounds in which nobody else traced, or from all when there are none.
    fn cost(mut self) -> Cost {
        let disturbed = self.turns.len() - self.clean();
        let all_disturbed = self.clean() == 0;
        self.turns.retain(|turn| !turn.disturbed || all_disturbed);
        let figure = |(index, &operation): (usize, &Operation)| {
            let spread = |of: fn((f64, f64)) -> f64| Spread::of(self.turns.iter().map(|turn| of(turn.pairs[index])));
            Figure {
                operation,
                untraced: spread(|(untraced, _)| untraced),
                added: spread(|(untraced, traced)| traced - untraced),
                ratio: spread(|(untraced, traced)| traced / untraced),
            }
        };
        let figures = match self.skipped {
            Some(_) => Vec::new(),
            None => self.operations.iter().enumerate().map(figure).collect(),
        };
        Cost {
            name: self.contestant.name.to_owned(),
            figures,
            rounds: self.turns.len(),
            lossy: self.turns.iter().filter(|turn| turn.lossy).count(),
            disturbed,
            mechanism: self.mechanism,
            skipped: self.skipped,
        }
    }
}

/// What an operation takes untraced, by the measurements before and after the traced one. A clock is faster at times and
/// slower at others: their mean. A count of instructions is not; it only grows, by other work that is put down to the
/// thread: the smaller.
fn untraced(place: Place, before: f64, after: f64) -> f64 {
    match place {
        Place::Instructions => before.min(after),
        Place::Here | Place::Vm => f64::midpoint(before, after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_instructions_are_counted_work_of_others_beside_an_untraced_measurement_changes_nothing() {
        assert_eq!(untraced(Place::Instructions, 28_000.0, 2_000_000.0), 28_000.0);
        assert_eq!(untraced(Place::Instructions, 2_000_000.0, 28_000.0), 28_000.0);
        assert_eq!(untraced(Place::Here, 100.0, 300.0), 200.0);
    }

    fn rounds(turns: &[(f64, f64, bool)]) -> Rounds {
        let turn = |&(untraced, traced, disturbed)| Turn {
            pairs: vec![(untraced, traced)],
            disturbed,
            lossy: untraced > 150.0,
        };
        Rounds {
            contestant: &CONTESTANTS[0],
            operations: vec![Operation::Getppid],
            mechanism: None,
            skipped: None,
            turns: turns.iter().map(turn).collect(),
        }
    }

    #[test]
    fn ratio_and_difference_are_made_within_a_round() {
        // The machine became twice as slow in the second round: the ratio stays.
        let cost = rounds(&[(100.0, 150.0, false), (200.0, 300.0, false)]).cost();
        assert_eq!(cost.figures[0].ratio, Spread { median: 1.5, low: 1.5, high: 1.5 });
        assert_eq!(cost.figures[0].added.median, 75.0);
        assert_eq!((cost.rounds, cost.lossy, cost.disturbed), (2, 1, 0));
    }

    #[test]
    fn rounds_with_another_tracer_count_only_when_there_are_no_others() {
        let cost = rounds(&[(100.0, 150.0, false), (200.0, 220.0, true)]).cost();
        assert_eq!((cost.figures[0].ratio.median, cost.rounds, cost.disturbed), (1.5, 1, 1));
        let cost = rounds(&[(200.0, 220.0, true)]).cost();
        assert_eq!((cost.figures[0].ratio.median, cost.rounds, cost.disturbed), (1.1, 1, 1));
    }
}
