//! Programs of an object, each put together when it is first asked for: the object has some sixty, and a command needs ten.

use crate::kernel::{
    marks::Constants,
    program::{Code, Refused},
};
use anyhow::{Context, Result};
use aya_obj::{Object, Program};
use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
};

/// What programs are put together from.
pub(super) struct Linker {
    /// Functions, which refer to maps already; its programs are in `programs`.
    object: Object,
    /// Sections with functions.
    sections: HashSet<usize>,
    programs: HashMap<String, Program>,
    /// What the marks in instructions stand for.
    constants: Constants,
    made: HashMap<&'static str, Arc<Code>>,
}

impl Linker {
    /// `maps`: what functions refer to, by name.
    ///
    /// # Errors
    ///
    /// When a function refers to a map that is not there.
    pub(super) fn new(
        mut object: Object,
        maps: &[(String, OwnedFd, aya_obj::Map)],
        constants: Constants,
    ) -> Result<Self> {
        let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let maps = maps.iter().map(|(name, fd, map)| (name.as_str(), fd.as_raw_fd(), map));
        object.relocate_maps(maps, &sections).context("the object refers to a map that it does not have")?;
        object.sanitize_functions(aya::features());
        let programs = std::mem::take(&mut object.programs);
        Ok(Self { object, sections, programs, constants, made: HashMap::new() })
    }

    /// How many instructions a program has without what it calls; 0 where the object does not have it, or has put it together.
    pub(super) fn length(&self, name: &str) -> usize {
        let function = self.programs.get(name).and_then(|program| self.object.functions.get(&program.function_key()));
        function.map_or(0, |function| function.instructions.len())
    }

    /// A program with all that it calls.
    ///
    /// # Errors
    ///
    /// When the object has no such program, or lacks what it calls.
    pub(super) fn code(&mut self, name: &'static str) -> Result<Arc<Code>, Refused> {
        if let Some(made) = self.made.get(name) {
            return Ok(Arc::clone(made));
        }
        let (own, program) = self.programs.remove_entry(name).ok_or_else(|| Refused::absent(name))?;
        let (key, license) = (program.function_key(), program.license.clone());
        // aya puts together all programs that the object has: this one.
        self.object.programs = HashMap::from([(own, program)]);
        self.object.relocate_calls(&self.sections).map_err(|error| Refused::incomplete(name, &error))?;
        let mut function = self.object.functions.remove(&key).ok_or_else(|| Refused::absent(name))?;
        self.constants.put_into(&mut function.instructions);
        let code = Arc::new(Code::new(name, &license, function));
        self.made.insert(name, Arc::clone(&code));
        Ok(code)
    }
}
