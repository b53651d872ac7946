//! Debian's packages of other suites, through the machine's own apt: it knows the mirror and has the keys.
//!
//! Sources, lists and cache are private, so that nothing of the machine's own configuration changes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use super::arch::Arch;

/// apt with one set of suites.
pub(crate) struct Apt<'a> {
    shell: &'a Shell,
    options: Vec<String>,
}

impl<'a> Apt<'a> {
    /// Fetches the package lists of these suites into `dir`.
    pub(crate) fn new(shell: &'a Shell, dir: &Path, suites: &[&str], arch: Arch) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part)).with_context(|| format!("create {}", dir.join(part).display()))?;
        }
        let mirrors = Mirrors::find(shell)?;
        let mut sources = String::new();
        for suite in suites {
            sources += &format!("deb {} {suite} main\n", mirrors.of(suite)?);
        }
        fs::write(dir.join("sources.list"), sources).context("write sources.list")?;
        fs::write(dir.join("status"), "").context("write status")?; // nothing is installed there
        let at = |name: &str| dir.join(name).display().to_string();
        let settings = [
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "-".into()),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("APT::Architecture", arch.to_string()),
            ("APT::Architectures", arch.to_string()),
            ("Dir::Cache", at("cache")),
            ("Acquire::Languages", "none".into()),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".into()),
            ("APT::Sandbox::User", String::new()), // the directory may be closed to apt's own user
        ];
        let options = settings.iter().map(|(name, value)| format!("--option={name}={value}")).collect();
        let apt = Self { shell, options };
        apt.command("apt-get", &["update", "--quiet=2"]).run().with_context(|| format!("lists of {suites:?}"))?;
        Ok(apt)
    }

    /// The packages that `package` depends on, near and far, with one of these beginnings.
    pub(crate) fn dependencies(&self, package: &str, beginnings: &[&str]) -> Result<Vec<String>> {
        let kinds = ["pre-depends", "recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
        let without: Vec<_> = kinds.iter().map(|kind| format!("--no-{kind}")).collect();
        let mut words = vec!["depends", "--recurse"];
        words.extend(without.iter().map(String::as_str));
        words.push(package);
        let text = self.command("apt-cache", &words).read().with_context(|| format!("dependencies of {package}"))?;
        let wanted = |name: &&str| *name != package && beginnings.iter().any(|start| name.starts_with(start));
        let found: Vec<_> = text.lines().filter(wanted).map(str::to_owned).collect();
        ensure!(!found.is_empty(), "{package} depends on nothing that begins with one of {beginnings:?}");
        Ok(found)
    }

    /// Downloads packages into `dir`, which is empty, and says where they are.
    pub(crate) fn download(&self, packages: &[String], dir: &Path) -> Result<Vec<PathBuf>> {
        let _there = self.shell.push_dir(dir);
        let mut words = vec!["download", "--quiet=2"];
        words.extend(packages.iter().map(String::as_str));
        self.command("apt-get", &words).run().with_context(|| format!("download of {}", packages.join(" ")))?;
        let entries = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    /// Downloads packages and all that they depend on into `dir`.
    pub(crate) fn download_with_dependencies(&self, packages: &[&str], dir: &Path) -> Result<()> {
        fs::create_dir_all(dir.join("partial")).with_context(|| format!("create {}", dir.display()))?;
        let archives = format!("--option=Dir::Cache::archives={}", dir.display());
        let mut words = vec!["install", "--download-only", "--yes", "--no-install-recommends", "--quiet=2", &archives];
        words.extend(packages);
        self.command("apt-get", &words)
            .ignore_stdout()
            .run()
            .with_context(|| format!("download of {} and their dependencies", packages.join(" ")))
    }

    fn command(&self, program: &str, words: &[&str]) -> Cmd<'a> {
        let (shell, options) = (self.shell, &self.options);
        cmd!(shell, "{program} {options...} {words...}").quiet()
    }
}

/// Addresses of the archive.
struct Mirrors {
    main: Option<String>,
    security: Option<String>,
}

impl Mirrors {
    /// Those that the machine itself uses.
    fn find(shell: &Shell) -> Result<Self> {
        let format = "$(ORIGIN) $(LABEL) $(REPO_URI)";
        let text = cmd!(shell, "apt-get indextargets --format {format}").quiet().read().context("apt's sources")?;
        let of = |label: &str| {
            let labelled = text.lines().find_map(|line| line.strip_prefix("Debian ")?.strip_prefix(label));
            labelled.map(|address| address.trim().to_owned())
        };
        Ok(Self { main: of("Debian "), security: of("Debian-Security ") })
    }

    fn of(&self, suite: &str) -> Result<&str> {
        let mirror = if suite.ends_with("-security") { &self.security } else { &self.main };
        mirror.as_deref().with_context(|| format!("apt knows no mirror for {suite}: add Debian to its sources"))
    }
}
