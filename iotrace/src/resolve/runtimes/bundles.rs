//! Bundles of containers that come and go: read as soon as the runtime has written them, kept when they are gone.
//!
//! A container that lives for a moment has taken its bundle with it by the time its first record has been read here.

use super::{containerd::Plugin, oci::Spec};
use crate::kernel::access;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::{
    collections::{HashMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Most bundles remembered; the oldest goes when it is reached.
const BUNDLES_MAX: usize = 1024;
/// Where runtimes have what is new with each boot. Nothing else is watched for what may come: where anything of a file system is
/// watched, every call on every file of it takes the kernel longer (`fsnotify_parent` of fs/notify/fsnotify.c), for all
/// processes. This one has few files.
const AWAITED: &str = "run";
/// What a bundle is described by.
const CONFIG: &str = "config.json";

/// Descriptions of the bundles that were there while somebody watched.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    by_place: HashMap<PathBuf, Arc<Spec>>,
    /// In the order in which they came.
    places: VecDeque<PathBuf>,
}

impl Bundles {
    /// What the bundle with this id said, in this namespace or in any, and its namespace. `plugin` is the directory of both.
    pub(super) fn find(&self, plugin: &Path, namespace: Option<&str>, id: &str) -> Option<(String, Arc<Spec>)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let spec = |namespace: &str| {
            Some((namespace.to_owned(), seen.by_place.get(&plugin.join(namespace).join(id))?.clone()))
        };
        if let Some(namespace) = namespace {
            return spec(namespace);
        }
        let place = seen.places.iter().rev().find(|place| place.ends_with(id) && place.starts_with(plugin))?;
        spec(place.parent()?.file_name()?.to_str()?)
    }

    /// Watches the directories of these below `root`, in a thread of its own until the process ends. Those below [`AWAITED`] that are
    /// not there yet are waited for. Where the system does not let it watch, nothing is remembered.
    pub(super) fn watch(self: &Arc<Self>, root: PathBuf, plugins: Vec<Plugin>) {
        let Ok(inotify) = Inotify::init(InitFlags::IN_CLOEXEC) else { return };
        let mut watcher = Watcher { root, inotify, plugins, places: HashMap::new(), bundles: self.clone() };
        // Not joined: it waits for ever.
        let _ = thread::Builder::new().name("iotrace-bundles".into()).spawn(move || {
            // It reads what its user may read.
            if access::give_up_all().is_ok() {
                watcher.enter(&watcher.root.clone());
                watcher.run();
            }
        });
    }

    fn remember(&self, place: &Path, spec: Spec) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.by_place.insert(place.into(), spec.into()).is_some() {
            seen.places.retain(|known| known != place);
        }
        seen.places.push_back(place.into());
        if seen.places.len() > BUNDLES_MAX
            && let Some(oldest) = seen.places.pop_front()
        {
            seen.by_place.remove(&oldest);
        }
    }
}

/// What a directory is to the watcher.
enum Level {
    /// On the way to a directory of namespaces, or such a directory, or one of bundles: what comes into it is looked at.
    Above,
    Bundle,
    Other,
}

struct Watcher {
    root: PathBuf,
    inotify: Inotify,
    plugins: Vec<Plugin>,
    places: HashMap<WatchDescriptor, PathBuf>,
    bundles: Arc<Bundles>,
}

impl Watcher {
    fn level(&self, place: &Path) -> Level {
        if self.plugin(place, 2).is_some() {
            Level::Bundle
        } else if self.plugin(place, 1).is_some() || self.plugins.iter().any(|plugin| plugin.place.starts_with(place)) {
            Level::Above
        } else {
            Level::Other
        }
    }

    /// The one whose directory is so many levels above.
    fn plugin(&self, place: &Path, levels: usize) -> Option<&Plugin> {
        let above = place.ancestors().nth(levels)?;
        self.plugins.iter().find(|plugin| plugin.place == above)
    }

    /// Watches a directory and what is in it already.
    fn enter(&mut self, place: &Path) {
        let made = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
        match self.level(place) {
            Level::Other => {}
            Level::Bundle => {
                self.add(place, AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR);
                self.read(place);
            }
            Level::Above => {
                if self.may_come(place) {
                    self.add(place, made);
                }
                for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                    self.enter(&entry.path());
                }
            }
        }
    }

    /// Whether there may come something into a directory that is not there yet: a part of the way, a namespace, a bundle.
    fn may_come(&self, place: &Path) -> bool {
        let missing = |plugin: &Plugin| {
            let next = plugin.place.strip_prefix(place).ok().and_then(|rest| rest.components().next());
            next.is_some_and(|next| !place.join(next).exists())
        };
        let has_what_comes = self.plugin(place, 0).is_some() || self.plugin(place, 1).is_some();
        has_what_comes || place.starts_with(self.root.join(AWAITED)) && self.plugins.iter().any(missing)
    }

    fn add(&mut self, place: &Path, events: AddWatchFlags) {
        if let Ok(watch) = self.inotify.add_watch(place, events) {
            self.places.insert(watch, place.into());
        }
    }

    fn read(&self, bundle: &Path) {
        if let Some(spec) = self.plugin(bundle, 2).and_then(|plugin| plugin.read(bundle)) {
            self.bundles.remember(bundle, spec);
        }
    }

    fn run(&mut self) {
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                self.happened(&event);
            }
        }
    }

    fn happened(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            // The directory is gone. One with bundles may come again, with all that was on the way.
            let gone = self.places.remove(&event.wd);
            if gone.is_some_and(|gone| self.plugins.iter().any(|plugin| plugin.place.starts_with(&gone))) {
                self.enter(&self.root.clone());
            }
            return;
        }
        let (Some(place), Some(name)) = (self.places.get(&event.wd).cloned(), &event.name) else { return };
        if !matches!(self.level(&place), Level::Bundle) {
            self.enter(&place.join(name));
        } else if name == CONFIG {
            self.read(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{Duration, Instant};

    fn config(number: usize) -> String {
        format!(r#"{{"annotations":{{"nginx":"{number}"}}}}"#)
    }

    fn wait_for(
        bundles: &Bundles,
        plugin: &Path,
        namespace: Option<&str>,
        id: &str,
    ) -> Option<(String, Option<String>)> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some((namespace, spec)) = bundles.find(plugin, namespace, id) {
                return Some((namespace, spec.annotation(&["nginx"])));
            }
            if Instant::now() > until {
                return None;
            }
            thread::yield_now();
        }
    }

    #[test]
    fn bundles_are_known_after_they_are_gone() {
        let root = tempfile::tempdir().unwrap();
        // One directory is there, the other is made later.
        let plugins = ["run/containerd/task", "run/k3s/containerd/task"].map(|plugin| root.path().join(plugin));
        fs::create_dir_all(plugins[0].join("default/early")).unwrap();
        fs::write(plugins[0].join("default/early/config.json"), config(2)).unwrap();
        let bundles = Arc::new(Bundles::default());
        let watched = plugins.iter().map(|place| Plugin { place: place.clone(), databases: Vec::new() });
        bundles.watch(root.path().into(), watched.collect());
        for (number, plugin) in plugins.iter().enumerate() {
            for (namespace, id) in [("k8s.io", "one"), ("default", "two")] {
                let bundle = plugin.join(namespace).join(id);
                fs::create_dir_all(&bundle).unwrap();
                fs::write(bundle.join("config.json"), config(number)).unwrap();
                let known = Some((namespace.to_owned(), Some(number.to_string())));
                assert_eq!(wait_for(&bundles, plugin, None, id), known);
                fs::remove_dir_all(&bundle).unwrap();
                assert_eq!(wait_for(&bundles, plugin, Some(namespace), id), known);
                assert!(bundles.find(plugin, Some("other"), id).is_none());
            }
        }
        // One goes and comes again, with all that is on the way.
        fs::remove_dir_all(root.path().join("run/k3s")).unwrap();
        let again = plugins[1].join("default/again");
        fs::create_dir_all(&again).unwrap();
        fs::write(again.join("config.json"), config(3)).unwrap();
        let known = wait_for(&bundles, &plugins[1], None, "again");
        assert_eq!(known, Some(("default".into(), Some("3".into()))));
        fs::remove_dir_all(plugins[0].join("default")).unwrap();
        let early = wait_for(&bundles, &plugins[0], None, "early");
        assert_eq!(early, Some(("default".into(), Some("2".into()))));
    }

    #[test]
    fn what_may_come_is_waited_for_where_few_files_are() {
        let root = tempfile::tempdir().unwrap();
        let plugins = ["run/containerd/task", "run/k3s/containerd/task", "var/snap/containerd/task", "srv/task"];
        for there in [plugins[0], plugins[3], "var"] {
            fs::create_dir_all(root.path().join(there).join("default")).unwrap();
        }
        let plugin = |place: &str| Plugin { place: root.path().join(place), databases: Vec::new() };
        let mut watcher = Watcher {
            root: root.path().into(),
            inotify: Inotify::init(InitFlags::IN_CLOEXEC).unwrap(),
            plugins: plugins.map(plugin).into(),
            places: HashMap::new(),
            bundles: Arc::default(),
        };
        watcher.enter(root.path());
        let mut watched: Vec<_> =
            watcher.places.values().map(|place| place.strip_prefix(root.path()).unwrap()).collect();
        watched.sort();
        // `run` for k3s; where bundles are made, all that comes.
        let expected = ["run", "run/containerd/task", "run/containerd/task/default", "srv/task", "srv/task/default"];
        assert_eq!(watched, expected.map(Path::new));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let bundles = Bundles::default();
        for number in 0..=BUNDLES_MAX {
            bundles.remember(Path::new(&format!("/task/default/{number}")), Spec::default());
        }
        let known = |id: &str| bundles.find(Path::new("/task"), None, id).is_some();
        assert!(!known("0") && known("1") && known(&BUNDLES_MAX.to_string()));
    }
}
