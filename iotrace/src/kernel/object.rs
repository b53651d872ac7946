//! The compiled kernel side: its maps are made, and its programs loaded as often as they are needed.
//!
//! aya makes maps and resolves references between programs and maps. It loads a program once, for one place; here one program
//! goes to many functions, so programs are loaded by [`crate::kernel::program`].

use crate::kernel::{
    calls::Quick,
    marks::{Constants, put_into_quick, put_turn},
    program::{Code, Kind, Loaded, Refused},
    sys,
};
use anyhow::{Context, Result};
use aya::maps::{Map, MapData};
use aya_obj::{
    EbpfSectionKind,
    generated::{bpf_cmd, bpf_insn},
};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A program, and what it is loaded for.
pub type Wanted = (&'static str, Kind);

/// Values that the loader gives to the object before it is loaded.
#[derive(Default)]
pub struct Settings<'a> {
    /// Bytes of its read-only variables.
    pub globals: HashMap<&'a str, (&'a [u8], bool)>,
    /// Entries of maps that shall not have the size written in the object.
    pub sizes: HashMap<&'a str, u32>,
}

impl<'a> Settings<'a> {
    /// Sets a read-only variable, which the object must have.
    pub fn global<T: bytemuck::Pod>(mut self, name: &'a str, value: &'a T) -> Self {
        self.globals.insert(name, (bytemuck::bytes_of(value), true));
        self
    }

    /// Sets the number of a map's entries, or of a ring buffer's bytes.
    pub fn size(mut self, map: &'a str, entries: u32) -> Self {
        self.sizes.insert(map, entries);
        self
    }
}

/// An object whose maps exist and whose programs can be loaded.
pub struct Object {
    parsed: aya_obj::Object,
    code: HashMap<String, Code>,
    maps: HashMap<String, MapData>,
    /// The maps once more: programs refer to them by these, whoever has taken them.
    _referred: Vec<OwnedFd>,
    btf: Option<OwnedFd>,
    /// What was loaded ahead, and not asked for yet.
    ahead: Mutex<Vec<(Wanted, Result<Loaded, Refused>)>>,
}

/// An object that was read, of which nothing is in the kernel yet.
pub struct Parsed(aya_obj::Object);

impl Parsed {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// When the bytes are no such object.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        Ok(Self(aya_obj::Object::parse(bytes).context("the object cannot be read")?))
    }

    /// Makes the maps. Programs can be loaded once [`Object::put`] has said what their marks stand for.
    ///
    /// # Errors
    ///
    /// When the object lacks what is set, or the kernel refuses a map.
    pub fn open(self, settings: Settings<'_>) -> Result<Object> {
        let mut object = self.0;
        object.patch_map_data(settings.globals).context("the object lacks a variable")?;
        let features = aya::features();
        let btf = match features.btf() {
            Some(features) => object.fixup_and_sanitize_btf(features).context("the object's types cannot be read")?,
            None => None,
        };
        let btf = btf.map(|btf| load_btf(&btf.to_bytes())).transpose().context("cannot load the object's types")?;

        let mut relocations: Vec<(String, RawFd, aya_obj::Map)> = Vec::new();
        let (mut maps, mut referred) = (HashMap::new(), Vec::new());
        for (name, mut description) in object.maps.drain() {
            if let Some(&entries) = settings.sizes.get(name.as_str()) {
                description.set_max_entries(entries);
            }
            let map = MapData::create(description.clone(), &name, btf.as_ref().map(AsFd::as_fd))
                .with_context(|| format!("cannot make the map {name} of the kernel side"))?;
            let section = description.section_kind();
            if !description.data().is_empty() {
                let frozen = section == EbpfSectionKind::Rodata;
                fill(&map, description.data(), frozen).with_context(|| format!("cannot fill the map {name}"))?;
            }
            let fd = map.fd().as_fd().try_clone_to_owned().context("one more descriptor of a map")?;
            relocations.push((name.clone(), fd.as_raw_fd(), description));
            referred.push(fd);
            maps.insert(name, map);
        }
        let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let known = relocations.iter().map(|(name, fd, map)| (name.as_str(), *fd, map));
        object.relocate_maps(known, &sections).context("the object refers to a map that it does not have")?;
        object.relocate_calls(&sections).context("the object calls a function that it does not have")?;
        object.sanitize_functions(features);
        let code = HashMap::new();
        Ok(Object { parsed: object, code, maps, _referred: referred, btf, ahead: Mutex::default() })
    }
}

impl Object {
    /// Says what the marks in programs stand for, once.
    pub fn put(&mut self, constants: &Constants) {
        let object = &mut self.parsed;
        object.functions.values_mut().for_each(|function| constants.put_into(&mut function.instructions));
        let code = object.programs.iter().filter_map(|(name, program)| {
            let function = object.functions.get(&program.function_key())?;
            Some((name.clone(), Code::new(name, &program.license, function)))
        });
        self.code = code.collect();
    }

    /// Takes a map out of the object.
    ///
    /// # Errors
    ///
    /// When it has no such map, or it was taken before.
    pub fn take_map(&mut self, name: &str) -> Result<Map> {
        let map = self.maps.remove(name).with_context(|| format!("the object has no map {name}"))?;
        Map::from_map_data(map).with_context(|| format!("the map {name} is of no known type"))
    }

    /// Another descriptor of a map that is not taken.
    ///
    /// # Errors
    ///
    /// When it was taken, or there are too many descriptors.
    pub fn map(&self, name: &str) -> io::Result<OwnedFd> {
        let map = self.maps.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        map.fd().as_fd().try_clone_to_owned()
    }

    /// Loads a program for the function of one system call, from which it goes on through an array.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, with the end of the verifier's log.
    pub fn load_quick(
        &self,
        program: &'static str,
        kind: Kind,
        call: Quick,
        array: BorrowedFd<'_>,
    ) -> Result<Loaded, Refused> {
        let code = self.code.get(program).ok_or_else(|| Refused::absent(program))?;
        let put = |instructions: &mut [bpf_insn]| put_into_quick(instructions, call, array.as_raw_fd());
        code.changed(put).load(program, kind, self.btf.as_ref().map(AsFd::as_fd))
    }

    /// Names of all programs.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.code.keys().map(String::as_str)
    }

    /// Loads programs side by side, on all processors: the verifier takes most of the time of a start, and does not mind company.
    /// [`Self::load`] then gives what came of it.
    pub fn load_ahead(&self, wanted: impl IntoIterator<Item = Wanted>) {
        let mut wanted: Vec<Wanted> = wanted.into_iter().collect();
        let ahead = || self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|wanted| !ahead().iter().any(|(known, _)| known == wanted));
        // The longest first: a short one at the end leaves the other processors idle for a shorter time.
        wanted.sort_by_key(|(program, _)| Reverse(self.code.get(*program).map_or(0, Code::length)));
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(&(program, kind)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let loaded = self.load_now(program, kind);
                ahead().push(((program, kind), loaded));
            }
        };
        let others = thread::available_parallelism().map_or(1, usize::from).min(wanted.len()).saturating_sub(1);
        thread::scope(|scope| {
            for _ in 0..others {
                // One thread less is only slower.
                let _ = thread::Builder::new().name("iotrace-load".into()).spawn_scoped(scope, work);
            }
            work();
        });
    }

    /// Loads a program, or gives it where it was loaded ahead.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, with the end of the verifier's log.
    pub fn load(&self, program: &'static str, kind: Kind) -> Result<Loaded, Refused> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        match ahead.iter().position(|(wanted, _)| *wanted == (program, kind)) {
            Some(at) => ahead.swap_remove(at).1,
            None => self.load_now(program, kind),
        }
    }

    fn load_now(&self, program: &'static str, kind: Kind) -> Result<Loaded, Refused> {
        let code = self.code.get(program).ok_or_else(|| Refused::absent(program))?;
        let turn = if let Kind::Again(_, turn) = kind { turn } else { 0 };
        code.changed(|all| put_turn(all, turn)).load(program, kind, self.btf.as_ref().map(AsFd::as_fd))
    }
}

fn load_btf(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_7 };
    fields.btf = bytes.as_ptr() as u64;
    fields.btf_size = bytes.len() as u32;
    // SAFETY: the bytes outlive the call.
    unsafe { sys::bpf_fd(bpf_cmd::BPF_BTF_LOAD, &mut attr) }
}

/// Writes the only element of an array.
fn fill(map: &MapData, data: &[u8], freeze: bool) -> std::io::Result<()> {
    let fd = map.fd().as_fd().as_raw_fd() as u32;
    let key = 0_u32;
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_2 };
    fields.map_fd = fd;
    fields.key = (&raw const key) as u64;
    fields.__bindgen_anon_1.value = data.as_ptr() as u64;
    // SAFETY: key and value outlive the call, and the map's values have the length of the data it was made with.
    unsafe { sys::bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }?;
    if freeze {
        let mut attr = sys::attributes();
        attr.__bindgen_anon_2.map_fd = fd;
        // SAFETY: the command takes a descriptor only.
        unsafe { sys::bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }?;
    }
    Ok(())
}
