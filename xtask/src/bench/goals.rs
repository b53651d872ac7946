//! What iotrace costs beside a peer or the floor, and what it should.

use super::contestants::{DIAGNOSED, DIAGNOSED_BY};
use super::cost::Cost;
use super::operation::Operation::{
    self, DirectRead, Fsync, Getppid, ManyFiles, NewPage, OpenClose, Pwrite, WriteFsync,
};
use super::report::{code, met, with_noise};
use super::stats::Spread;

/// One comparison.
struct Goal {
    measure: &'static str,
    operation: Operation,
    /// What is measured by itself and added.
    and: Option<Operation>,
    /// Contestants; the first that was measured counts.
    iotrace: &'static [&'static str],
    /// The peer, or the floor.
    beside: &'static str,
    /// The ratio should be no more than that, if there is a goal.
    at_most: Option<f64>,
}

const TOP: &[&str] = &["top --mechanism fentry", "top --mechanism kprobe", "top --mechanism tracepoint"];
/// Names are looked up in user space alone, so what they are for the process that is traced should be noise.
const NAMELESS: &str = "top";
const NO_LATENCY: &[&str] = &["top --no-latency"];
const CONTROL: &str = "(nothing)";
/// Less than this share of an operation is noise, if the control does not show more.
const NOISE: f64 = 0.02;
/// There is a ratio only of what is so many times as much as the control's distance from zero.
const ERRORS: f64 = 3.0;
/// Rounds from which a spread is known.
const ENOUGH: usize = 3;

const GOALS: &[Goal] = &[
    goal("top without latency, pwrite", Pwrite, NO_LATENCY, "filetop", Some(0.4)),
    goal("top, pwrite", Pwrite, TOP, "filetop", Some(0.65)),
    goal("top, pwrite to 1,000 files", ManyFiles, TOP, "filetop", Some(0.5)),
    goal("top, pwrite", Pwrite, TOP, "bpftrace: sums by file", None),
    goal("open, open+close", OpenClose, &["open"], "opensnoop", None),
    goal("open, open+close", OpenClose, &["open"], "opensnoop -F", Some(0.5)),
    goal("open, open+close", OpenClose, &["open"], "bpftrace: line per open", None),
    goal("fsync, write+fsync", WriteFsync, &["fsync"], "fsslower -m 0", Some(0.3)),
    Goal {
        and: Some(Fsync),
        ..goal("fsync, pwrite, and fsync by itself", Pwrite, &["fsync"], "fsslower -m 0", Some(0.3))
    },
    goal("fsync, write+fsync", WriteFsync, &["fsync"], "bpftrace: histogram of syncs", None),
    goal("events, pwrite", Pwrite, &["events"], "bpftrace: line per write", None),
    goal("events, pwrite", Pwrite, &["events"], "strace -f", None),
    goal("latency, direct read", DirectRead, &["latency"], "biolatency", Some(1.0)),
    goal("latency, direct read", DirectRead, &["latency"], "biosnoop", None),
    goal("latency, direct read", DirectRead, &["latency"], "empty block_rq_issue and _complete", None),
    goal("block, direct read", DirectRead, &["block"], "biosnoop", None),
    goal("block, write+fsync", WriteFsync, &["block"], "biosnoop", None),
    goal("attribution: block, direct read", DirectRead, &["block"], "latency", None),
    goal("attribution: block, new page", NewPage, &["block"], "latency", None),
    goal("attribution: disk, direct read", DirectRead, &["disk"], "latency", None),
    goal("attribution: disk, new page", NewPage, &["disk"], "latency", None),
    goal("top, pwrite", Pwrite, &["top --mechanism fentry"], "empty fentry and fexit", Some(1.6)),
    goal("top with kprobes, pwrite", Pwrite, &["top --mechanism kprobe"], "empty kprobe and kretprobe", None),
    goal("top with tracepoints, pwrite", Pwrite, &["top --mechanism tracepoint"], "empty sys_enter and sys_exit", None),
    goal("names: top --by container, pwrite", Pwrite, &["top --by container"], NAMELESS, Some(1.1)),
    goal("names: top with host paths, pwrite to 1,000 files", ManyFiles, &["top with host paths"], NAMELESS, Some(1.1)),
    goal("strangers: top, getppid", Getppid, TOP, CONTROL, None),
    goal(
        "strangers with tracepoints: top, getppid",
        Getppid,
        &["top --mechanism tracepoint"],
        "empty sys_enter and sys_exit",
        None,
    ),
];

const fn goal(
    measure: &'static str,
    operation: Operation,
    iotrace: &'static [&'static str],
    beside: &'static str,
    at_most: Option<f64>,
) -> Goal {
    Goal { measure, operation, and: None, iotrace, beside, at_most }
}

/// Rows of a table, for what was measured on both sides. `timed`: of fewer rounds than some nothing is known then.
pub(super) fn rows(costs: &[Cost], timed: bool) -> Vec<Vec<String>> {
    let enough = !timed || costs.iter().all(|cost| cost.skipped.is_some() || cost.rounds >= ENOUGH);
    let diagnosed = Operation::ALL.into_iter().filter_map(|operation| diagnosed(costs, operation, enough));
    GOALS.iter().filter_map(|goal| goal.row(costs, enough)).chain(diagnosed).collect()
}

/// `diagnose` beside the commands that it uses, what they add together.
fn diagnosed(costs: &[Cost], operation: Operation, enough: bool) -> Option<Vec<String>> {
    let of = |name: &str| Some(costs.iter().find(|cost| cost.name == name)?.figure(operation)?.added);
    let ours = of(DIAGNOSED)?;
    let all = DIAGNOSED_BY.iter().map(|name| of(name)).collect::<Option<Vec<Spread>>>()?;
    let theirs: Spread = all.into_iter().sum();
    let noise = costs.iter().find(|cost| cost.name == CONTROL)?.figure(operation)?.added.median.abs() * ERRORS;
    let row = [
        format!("{DIAGNOSED}, {}", operation.name()),
        with_noise(ours),
        "its commands together".to_owned(),
        with_noise(theirs),
    ];
    let is_clear = enough && ours.median > noise && theirs.median > noise;
    let ratio = ours.median / theirs.median;
    let (ratio, met) =
        if is_clear { (format!("{ratio:.2}"), met(ratio <= 1.0)) } else { ("noise".to_owned(), "-".to_owned()) };
    Some(row.into_iter().chain([ratio, "≤ 1".to_owned(), met]).collect())
}

impl Goal {
    fn row(&self, costs: &[Cost], enough: bool) -> Option<Vec<String>> {
        let of = |name: &str| {
            let cost = costs.iter().find(|cost| cost.name == name)?;
            let figure = cost.figure(self.operation)?;
            let (untraced, added) = (figure.untraced, figure.added);
            let Some(and) = self.and else { return Some((untraced, added)) };
            let figure = cost.figure(and)?;
            let both = |one: Spread, other: Spread| [one, other].into_iter().sum();
            Some((both(untraced, figure.untraced), both(added, figure.added)))
        };
        let (_, ours) = self.iotrace.iter().find_map(|name| of(name))?;
        let (untraced, theirs) = of(self.beside)?;
        let noise = (NOISE * untraced.median).max(theirs.high - theirs.low);
        let ratio = ours.median / theirs.median;
        // What nothing adds is an error that both sides may have.
        let error = ERRORS * of(CONTROL).map_or(0.0, |(_, added)| added.median.abs());
        let is_clear = enough && ours.median > error && theirs.median > error;
        let mut row = vec![self.measure.to_owned(), with_noise(ours), code(self.beside), with_noise(theirs)];
        row.extend(match (self.beside, self.at_most) {
            // A ratio to nothing says nothing: what is added should be within the noise.
            (CONTROL, _) if enough => {
                ["-".to_owned(), "noise".to_owned(), met((ours.median - theirs.median).abs() <= noise)]
            }
            _ if !is_clear => {
                ["noise".to_owned(), self.at_most.map_or("-".to_owned(), |goal| format!("≤ {goal}")), "-".to_owned()]
            }
            (_, Some(goal)) => [format!("{ratio:.2}"), format!("≤ {goal}"), met(ratio <= goal)],
            (_, None) => [format!("{ratio:.2}"), "-".to_owned(), "-".to_owned()],
        });
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cost::Figure;
    use super::super::stats::Spread;
    use super::*;

    fn cost(name: &str, added: f64) -> Cost {
        let spread = |median| Spread { median, low: median, high: median };
        let figure =
            Figure { operation: OpenClose, untraced: spread(1000.0), added: spread(added), ratio: spread(1.0) };
        Cost {
            name: name.to_owned(),
            mechanism: None,
            skipped: None,
            figures: vec![figure],
            rounds: ENOUGH,
            lossy: 0,
            disturbed: 0,
        }
    }

    fn last(control: f64, ours: f64, theirs: f64) -> Vec<String> {
        let rows = rows(&[cost(CONTROL, control), cost("open", ours), cost("opensnoop -F", theirs)], true);
        rows[0][4..].to_vec()
    }

    #[test]
    fn a_round_or_two_of_time_say_nothing() {
        let all = |rounds| ["open", "opensnoop -F", CONTROL].map(|name| Cost { rounds, ..cost(name, 1000.0 / 3.1) });
        let clear = |rounds, timed| {
            let mut all = all(rounds);
            all[2] = Cost { rounds, ..cost(CONTROL, 1.0) };
            rows(&all, timed)[0][4] != "noise"
        };
        assert_eq!([clear(2, true), clear(3, true), clear(1, false)], [false, true, true]);
    }

    #[test]
    fn ratio_is_held_against_the_goal() {
        assert_eq!(last(1.0, 400.0, 1000.0), ["0.40", "≤ 0.5", "yes"]);
        assert_eq!(last(1.0, 600.0, 1000.0), ["0.60", "≤ 0.5", "no"]);
    }

    #[test]
    fn diagnose_is_held_against_the_sum_of_its_commands() {
        let parts = DIAGNOSED_BY.map(|name| cost(name, 100.0));
        let of = |added| {
            let all = [cost(CONTROL, 1.0), cost(DIAGNOSED, added)].into_iter().chain(parts.clone()).collect::<Vec<_>>();
            rows(&all, true).pop().unwrap_or_default()[4..].to_vec()
        };
        assert_eq!(of(400.0), ["0.80", "≤ 1", "yes"]);
        assert_eq!(of(600.0), ["1.20", "≤ 1", "no"]);
        assert_eq!(of(2.0), ["noise", "≤ 1", "-"]);
        assert!(rows(&[cost(CONTROL, 1.0), cost(DIAGNOSED, 2.0), cost("top", 1.0)], true).is_empty());
    }

    #[test]
    fn what_is_measured_by_itself_is_added() {
        let figure = |operation, added| Figure { operation, ..cost("", added).figures[0] };
        let both =
            |name, write, sync| Cost { figures: vec![figure(Pwrite, write), figure(Fsync, sync)], ..cost(name, 0.0) };
        let rows =
            rows(&[both(CONTROL, 1.0, -1.0), both("fsync", 100.0, 50.0), both("fsslower -m 0", 200.0, 400.0)], true);
        assert_eq!(rows[0][4..], ["0.25", "≤ 0.3", "yes"]);
    }

    #[test]
    fn noise_meets_no_goal() {
        assert_eq!(last(1.0, -400.0, 1000.0), ["noise", "≤ 0.5", "-"]);
        assert_eq!(last(-200.0, 400.0, 1000.0), ["noise", "≤ 0.5", "-"]);
    }
}
