//! What each kernel's verifier says of each program: the instructions that it went through, and the time that loading took.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use super::arch::Arch;
use super::report::{self, Run};
use crate::workspace::Workspace;

/// Loads the programs, in the guest.
pub(super) const SCRIPT: &str = include_str!("guest/verifier.sh");

/// Reads the verifier's log there.
const SPY: &str = include_str!("guest/verifier.c");

/// No program may come near to what the verifier gives up at, which is 1,000,000: branches grow it by leaps.
const LIMIT: u64 = 100_000;

/// Programs that trace nothing: aya's and the doctor's trials.
const TRIALS: &[&str] = &["aya_", "trial"];

/// Compiles what is preloaded into iotrace.
pub(super) fn build_spy(workspace: &Workspace, arch: Arch) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let compiler = match arch {
        Arch::Amd64 => "gcc",
        Arch::Arm64 => "aarch64-linux-gnu-gcc",
    };
    let file = super::scratch(workspace)?.join(format!("verifier-{arch}.so"));
    cmd!(shell, "{compiler} -O2 -shared -fPIC -x c -o {file} - -ldl")
        .stdin(SPY)
        .quiet()
        .run()
        .context("build of what asks the verifier")?;
    Ok(file)
}

/// Prints a table for docs/kernels.md; an error if a program is too long, or did not load where it should.
pub(super) fn show(runs: &[Run]) -> Result<()> {
    print!("{}", table(runs));
    let failures = report::text(runs);
    let too_long = worst(runs).into_iter().filter(|(_, (instructions, _))| *instructions > LIMIT);
    let too_long: Vec<_> =
        too_long.map(|((name, kernel), (count, _))| format!("{name} on {kernel}: {count}")).collect();
    ensure!(runs.iter().all(Run::succeeded), "not all programs loaded\n{failures}");
    ensure!(too_long.is_empty(), "more than {LIMIT} instructions: {}", too_long.join(", "));
    Ok(())
}

/// The largest count of instructions and the longest time, by program and kernel.
fn worst(runs: &[Run]) -> BTreeMap<(String, String), (u64, u64)> {
    let mut worst = BTreeMap::new();
    for run in runs {
        for program in run.results.iter().flat_map(|results| &results.programs) {
            if TRIALS.iter().all(|start| !program.name.starts_with(start)) {
                let most: &mut (u64, u64) = worst.entry((program.name.clone(), run.kernel.clone())).or_default();
                *most = (most.0.max(program.instructions), most.1.max(program.nanoseconds));
            }
        }
    }
    worst
}

/// Programs down, kernels across: instructions, and milliseconds in parentheses.
fn table(runs: &[Run]) -> String {
    let worst = worst(runs);
    let mut text = String::from("| program |");
    for run in runs {
        let _ = write!(text, " {} |", run.kernel);
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(runs.len()));
    let mut names: Vec<_> = worst.keys().map(|(name, _)| name).collect();
    names.dedup();
    for name in names {
        let _ = write!(text, "| `{name}` |");
        for run in runs {
            let cell = worst.get(&(name.clone(), run.kernel.clone())).map(|(instructions, nanoseconds)| {
                format!("{} ({} ms)", grouped(*instructions), nanoseconds.div_ceil(1_000_000))
            });
            let _ = write!(text, " {} |", cell.as_deref().unwrap_or("-"));
        }
        text.push('\n');
    }
    text
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::console::{Program, Results};
    use super::*;
    use std::time::Duration;

    fn run(kernel: &str, programs: &[(&str, u64)]) -> Run {
        let load = |(name, instructions): &(&str, u64)| Program {
            name: (*name).to_owned(),
            instructions: *instructions,
            nanoseconds: 1_500_000,
        };
        Run {
            kernel: kernel.to_owned(),
            lacks: None,
            loses: &[],
            results: vec![Results { programs: programs.iter().map(load).collect(), ..Results::default() }],
            log: PathBuf::new(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn table_has_the_most_of_all_loads_by_kernel() {
        let runs = [
            run("5.10", &[("sys_exit", 900), ("sys_exit", 57_929), ("trial_fentry", 2)]),
            run("6.1", &[("sys_exit", 1_000), ("write_exit", 7)]),
        ];
        assert_eq!(
            table(&runs),
            "| program | 5.10 | 6.1 |\n|---|---:|---:|\n| `sys_exit` | 57,929 (2 ms) | 1,000 (2 ms) |\n| `write_exit` | - | 7 (2 ms) |\n"
        );
    }

    #[test]
    fn program_over_the_limit_is_an_error() {
        assert!(show(&[run("6.1", &[("sys_exit", LIMIT)])]).is_ok());
        assert!(show(&[run("6.1", &[("sys_exit", LIMIT + 1)])]).is_err());
    }
}
