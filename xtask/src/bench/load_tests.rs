//! The loops do what they are asked.

use super::*;

#[test]
fn operations_take_time_and_files_appear() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let load = Load::new(dir.path(), None)?;
    for operation in Operation::ALL {
        if operation == Operation::DirectRead {
            continue;
        }
        for clock in [Clock::Thread, Clock::Wall] {
            let done = load.measure(operation, clock, 1, Duration::from_millis(1))?;
            assert!(done.ns > 1.0 && done.operations >= load.counts[operation as usize], "{operation:?}: {done:?}");
        }
    }
    for _ in 0..2 {
        load.files(7, 0)?;
        assert_eq!(fs::read_dir(dir.path().join(CREATED_IN).join("many"))?.count(), 7);
    }
    assert_eq!(load.processes(3)?.operations, 3);
    Ok(())
}

#[test]
fn paced_writing_keeps_its_rate() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let done = Load::new(dir.path(), None)?.repeat(Operation::Pwrite, Some(10_000), Duration::from_millis(100))?;
    // What is due at the last look at the clock before the end.
    assert!((1..=1000).contains(&done.operations), "{done:?}");
    Ok(())
}
