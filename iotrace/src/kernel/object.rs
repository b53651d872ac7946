//! The compiled kernel side: its maps are made, and its programs loaded as often as they are needed.
//!
//! aya makes maps and resolves references between programs and maps. It loads a program once, for one place; here one program
//! goes to many functions, so programs are loaded by [`crate::kernel::program`].

use crate::kernel::{
    background,
    calls::Quick,
    linker::Linker,
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
    collections::HashMap,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A program, and what it is loaded for.
pub type Wanted = (&'static str, Kind);

/// Values of read-only variables, given to the object before it is loaded: their bytes, and whether the object must have them.
#[derive(Default)]
pub struct Globals<'a>(HashMap<&'a str, (&'a [u8], bool)>);

impl<'a> Globals<'a> {
    /// Sets a variable, which the object must have.
    pub fn set<T: bytemuck::Pod>(mut self, name: &'a str, value: &'a T) -> Self {
        self.0.insert(name, (bytemuck::bytes_of(value), true));
        self
    }
}

/// Entries of maps, or bytes of a ring buffer, that shall not have the size written in the object.
pub type Sizes<'a> = HashMap<&'a str, u32>;

/// An object that was read, of which only maps are in the kernel yet.
pub struct Parsed {
    object: aya_obj::Object,
    /// Types of the maps.
    btf: Option<OwnedFd>,
    maps: HashMap<String, MapData>,
    /// How programs refer to the maps: their descriptors once more, whoever takes the maps.
    references: Vec<(String, OwnedFd, aya_obj::Map)>,
}

impl Parsed {
    /// Reads an object.
    ///
    /// # Errors
    ///
    /// When the bytes are no such object, or it lacks a variable.
    pub fn new(bytes: &[u8], globals: Globals<'_>) -> Result<Self> {
        let mut object = aya_obj::Object::parse(bytes).context("the object cannot be read")?;
        object.patch_map_data(globals.0).context("the object lacks a variable")?;
        let btf = match aya::features().btf() {
            Some(features) => object.fixup_and_sanitize_btf(features).context("the object's types cannot be read")?,
            None => None,
        };
        let btf = btf.map(|btf| load_btf(&btf.to_bytes())).transpose().context("cannot load the object's types")?;
        Ok(Self { object, btf, maps: HashMap::new(), references: Vec::new() })
    }

    /// Makes the maps whose size is known, which is that of the object where `sizes` has none.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a map.
    pub fn make_maps(&mut self, sizes: &Sizes<'_>, is_known: impl Fn(&str) -> bool) -> Result<()> {
        let (known, later): (Vec<_>, Vec<_>) = self.object.maps.drain().partition(|(name, _)| is_known(name));
        self.object.maps = later.into_iter().collect();
        let sized = known.into_iter().map(|(name, mut description)| {
            if let Some(&entries) = sizes.get(name.as_str()) {
                description.set_max_entries(entries);
            }
            (name, description)
        });
        let mut sized: Vec<_> = sized.collect();
        // The largest first, as in `load_ahead`: the kernel clears their memory, which is what takes long.
        sized.sort_by_key(|(_, map)| {
            Reverse(u64::from(map.max_entries()) * u64::from(map.key_size() + map.value_size() + 1))
        });
        let made = Mutex::new(Vec::new());
        background::share(sized, |(name, description)| {
            let map = make_map(&name, &description, self.btf.as_ref().map(AsFd::as_fd));
            made.lock().unwrap_or_else(PoisonError::into_inner).push((name, description, map));
        });
        for (name, description, map) in made.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let map = map?;
            let fd = map.fd().as_fd().try_clone_to_owned().context("one more descriptor of a map")?;
            self.references.push((name.clone(), fd, description));
            self.maps.insert(name, map);
        }
        Ok(())
    }

    /// Makes the other maps, and says what the marks in programs stand for: then they can be loaded.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a map, or programs refer to one that there is not.
    pub fn open(mut self, sizes: &Sizes<'_>, constants: &Constants) -> Result<Object> {
        self.make_maps(sizes, |_| true)?;
        let Self { object, btf, maps, references } = self;
        let linker = Linker::new(object, &references, constants.clone())?;
        let references = references.into_iter().map(|(_, fd, _)| fd).collect();
        Ok(Object { linker: Mutex::new(linker), maps, _references: references, btf, ahead: Mutex::default() })
    }
}

/// An object whose maps exist and whose programs can be loaded.
pub struct Object {
    linker: Mutex<Linker>,
    maps: HashMap<String, MapData>,
    _references: Vec<OwnedFd>,
    btf: Option<OwnedFd>,
    /// What was loaded ahead, and not asked for yet.
    ahead: Mutex<Vec<(Wanted, Result<Loaded, Refused>)>>,
}

impl Object {
    fn linker(&self) -> MutexGuard<'_, Linker> {
        self.linker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instructions of a program.
    fn code(&self, program: &'static str) -> Result<Arc<Code>, Refused> {
        self.linker().code(program)
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
        let code = self.code(program)?;
        let put = |instructions: &mut [bpf_insn]| put_into_quick(instructions, call, array.as_raw_fd());
        code.changed(put).load(program, kind, self.btf.as_ref().map(AsFd::as_fd))
    }

    /// Puts the longest first, not counting what they call.
    pub fn longest_first(&self, wanted: &mut [Wanted]) {
        wanted.sort_by_key(|(program, _)| Reverse(self.linker().length(program)));
    }

    /// Loads programs side by side, on all processors: the verifier takes most of the time of a start, and does not mind company.
    /// [`Self::load`] then gives what came of it. They are begun in this order: what takes long at the end leaves the other processors idle.
    pub fn load_ahead(&self, wanted: impl IntoIterator<Item = Wanted>) {
        let mut wanted: Vec<Wanted> = wanted.into_iter().collect();
        let ahead = || self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|wanted| !ahead().iter().any(|(known, _)| known == wanted));
        background::share(wanted, |(program, kind)| {
            let loaded = self.load_now(program, kind);
            ahead().push(((program, kind), loaded));
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
        let code = self.code(program)?;
        let turn = if let Kind::Again(_, turn) = kind { turn } else { 0 };
        code.changed(|all| put_turn(all, turn)).load(program, kind, self.btf.as_ref().map(AsFd::as_fd))
    }
}

fn make_map(name: &str, description: &aya_obj::Map, btf: Option<BorrowedFd<'_>>) -> Result<MapData> {
    let map = MapData::create(description.clone(), name, btf)
        .with_context(|| format!("cannot make the map {name} of the kernel side"))?;
    if !description.data().is_empty() {
        let frozen = description.section_kind() == EbpfSectionKind::Rodata;
        fill(&map, description.data(), frozen).with_context(|| format!("cannot fill the map {name}"))?;
    }
    Ok(map)
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
