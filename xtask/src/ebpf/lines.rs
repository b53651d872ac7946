//! The object without its table of source lines.
//!
//! Three fifths of an object are for the verifier's log to quote sources: `.BTF.ext` has a record for each few instructions, and a
//! relocation for each record. A loader reads them all before it loads anything. Functions keep their records: by them the kernel
//! knows their names.

use anyhow::{Context, Result, ensure};

/// Words of the section's header (include/linux/btf.h of the kernel's tools: `btf_ext_header`) that say where its parts are.
const FUNCTIONS: usize = 8;
const FUNCTIONS_LENGTH: usize = 12;
const LINES: usize = 16;
const LINES_LENGTH: usize = 20;
const RELOCATIONS: usize = 24;
const RELOCATIONS_LENGTH: usize = 28;
/// The header's own length.
const HEADER_LENGTH: usize = 4;

/// `.BTF.ext` with its records of functions alone.
pub(super) fn drop_from(section: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes =
            section.get(at..).and_then(|rest| rest.first_chunk()).context("the header of .BTF.ext is cut off")?;
        Ok(u32::from_le_bytes(*bytes) as usize)
    };
    ensure!(word(RELOCATIONS_LENGTH)? == 0, "relocations by the kernel's types in .BTF.ext: iotrace has its own way");
    ensure!(word(FUNCTIONS)? == 0, "functions do not come first in .BTF.ext");
    let (header, functions) = (word(HEADER_LENGTH)?, word(FUNCTIONS_LENGTH)?);
    let mut kept = section.get(..header + functions).context(".BTF.ext is cut off")?.to_vec();
    for (at, value) in [(LINES, functions), (LINES_LENGTH, 0), (RELOCATIONS, functions)] {
        kept[at..at + 4].copy_from_slice(&u32::try_from(value)?.to_le_bytes());
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(functions: &[u8], lines: &[u8], relocations: u32) -> Vec<u8> {
        let lengths = [functions.len() as u32, lines.len() as u32];
        let words = [0x0001_eb9f, 32, 0, lengths[0], lengths[0], lengths[1], lengths[0] + lengths[1], relocations];
        words.iter().flat_map(|word| word.to_le_bytes()).chain(functions.iter().chain(lines).copied()).collect()
    }

    #[test]
    fn functions_stay_and_lines_go() -> Result<()> {
        assert_eq!(drop_from(&section(b"functions...", b"lines...", 0))?, section(b"functions...", b"", 0));
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let whole = section(b"functions...", b"lines...", 0);
        assert!(drop_from(&whole[..31]).is_err());
        assert!(drop_from(&whole[..40]).is_err());
        assert!(drop_from(&section(b"functions...", b"lines...", 8)).is_err());
    }
}
