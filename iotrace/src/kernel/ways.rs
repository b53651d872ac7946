//! Which way in a subject takes: the first mechanism that fits and works.

use crate::kernel::{
    attach::{self, Attached, Kernel},
    btf::Btf,
    calls::{self, QuickKind},
    functions::{self, Function},
    marks::Constants,
    mechanism::{Mechanism, Subject},
    object::{Object, Wanted},
    plan::Plan,
    preemption,
    program::{self, Kind, Refused},
    wanted,
};
use anyhow::{Result, bail};

/// The functions of system calls, in the ways there are, or a call that has none.
pub(super) type CallFunctions<'a> = Result<Vec<Vec<Function>>, &'a str>;

/// The functions of the system calls that count; of none, where there are none.
pub(super) fn call_functions<'a>(plan: &Plan, btf: &Btf<'_>, constants: &Constants) -> CallFunctions<'a> {
    if !plan.files.any() {
        return Ok(Vec::new());
    }
    let (native, compat) = calls::traced(plan.files);
    let mut ways = functions::of_calls(btf, &native, &compat, |call| !plan.no_latency || calls::must_begin(call))?;
    // See `quick.rs` of the kernel side.
    let is_possible = plan.filters.comm.is_none() && constants.have_typed_files();
    let sums_only = plan.sum && !plan.stream_io;
    for function in ways.iter_mut().flatten() {
        function.quick = function.quick.filter(|call| is_possible && (sums_only || call.kind == QuickKind::Named));
    }
    Ok(ways)
}

/// The ways in for calls on files.
#[derive(Default)]
pub(super) struct Ways<'a> {
    /// Those that may work, the best first, with the functions where programs go.
    fit: Vec<(Mechanism, &'a [Function])>,
    /// Why others cannot.
    unfit: Vec<String>,
}

impl<'a> Ways<'a> {
    /// The ways in for calls on files, or those of the mechanism that is asked for.
    pub(super) fn of(plan: &Plan, functions: &'a CallFunctions<'_>) -> Self {
        let mut ways = Self::default();
        for mechanism in Mechanism::ALL.into_iter().filter(|one| plan.mechanism.is_none_or(|wanted| wanted == *one)) {
            if let Some(reason) = unfit(mechanism, functions.as_ref().err().copied()) {
                ways.unfit.push(format!("{mechanism}: {reason}"));
                continue;
            }
            let functions_of_calls = functions.as_deref().unwrap_or_default();
            let any = functions_of_calls.iter().flatten().next();
            // Some kernels refuse all trampolines, whatever is in them.
            if let (Mechanism::Fentry, Some(function)) = (mechanism, any)
                && let Err(error) = program::load_nothing(Kind::Fexit(function.id))
            {
                ways.unfit.push(format!("{mechanism}: {error}"));
                continue;
            }
            if mechanism == Mechanism::Kprobe && wanted::probe_kind().is_none() {
                // Otherwise that would show only when a program for all ends of calls is loaded, which takes long.
                ways.unfit.push(format!("{mechanism}: this kernel has no kprobes"));
                continue;
            }
            let choices = if mechanism == Mechanism::Tracepoint { &[] } else { functions_of_calls };
            let all = choices.iter().map(Vec::as_slice).chain(choices.is_empty().then_some(&[] as &[Function]));
            ways.fit.extend(all.map(|functions| (mechanism, functions)));
        }
        ways
    }

    /// The mechanism that is tried first.
    pub(super) fn first(&self) -> Option<Mechanism> {
        self.fit.first().map(|(mechanism, _)| *mechanism)
    }

    /// The programs of the first way that has any: no other is likely to be used.
    pub(super) fn programs(&self, kernel: &Kernel<'_>) -> Vec<Wanted> {
        let of_way = |(mechanism, functions): &(Mechanism, &[Function])| {
            wanted::programs(Subject::Files, *mechanism, &Kernel { functions, ..*kernel })
        };
        self.fit.iter().map(of_way).find(|programs| !programs.is_empty()).unwrap_or_default()
    }
}

/// Attaches what traces files, with the first way that works.
pub(super) fn files(object: &Object, ways: &Ways<'_>, kernel: &Kernel<'_>) -> Result<(Mechanism, Attached)> {
    let mut refusals = ways.unfit.clone();
    for (mechanism, functions) in &ways.fit {
        let kernel = Kernel { functions, ..*kernel };
        object.load_ahead(wanted::programs(Subject::Files, *mechanism, &kernel));
        match attach::subject(object, Subject::Files, *mechanism, &kernel) {
            Ok(attached) => return Ok((*mechanism, attached)),
            Err(refused) => refusals.push(format!("{mechanism}: {refused}")),
        }
    }
    bail!("cannot trace {}: {}", Subject::Files, refusals.join("; "))
}

/// The best mechanism for anything but files. `by_probes`: whether probes are better than tracepoints.
pub(super) fn best(subject: Subject, by_probes: bool) -> Mechanism {
    subject.mechanisms(by_probes).first().copied().unwrap_or(Mechanism::Tracepoint)
}

/// Attaches what traces anything but files: with probes where tracepoints would miss something and probes work, else with tracepoints.
pub(super) fn other(
    object: &Object,
    subject: Subject,
    by_probes: bool,
    kernel: &Kernel<'_>,
) -> Result<Attached, Refused> {
    let best = best(subject, by_probes);
    match attach::subject(object, subject, best, kernel) {
        Err(_) if best != Mechanism::Tracepoint => attach::subject(object, subject, Mechanism::Tracepoint, kernel),
        result => result,
    }
}

/// Why a mechanism is not even tried.
pub fn unfit(mechanism: Mechanism, missing: Option<&str>) -> Option<String> {
    if mechanism == Mechanism::Tracepoint {
        return None;
    }
    if let Some(call) = missing {
        return Some(format!("this kernel has no function of its own for the system call {call}"));
    }
    if mechanism == Mechanism::Fentry { unfit_for_functions() } else { None }
}

/// Why trampolines would miss calls.
pub fn unfit_for_functions() -> Option<String> {
    let preemption = preemption::here();
    preemption.possible.then(|| {
        format!("this kernel may preempt programs there (preempt: {}), and calls would be missed", preemption.mode)
    })
}
