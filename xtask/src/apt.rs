// SPDX-License-Identifier: GPL-2.0
//! Debian's packages, asked through apt with its own state in the cache.
//!
//! The mirrors are those of the machine's own apt sources, or `XCALL_DEBIAN_MIRROR` and
//! `XCALL_DEBIAN_SECURITY_MIRROR`. The machine's apt configuration is never changed.

use crate::cache::Cache;
use crate::child;
use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The keys that all Debian suites are signed with; from the package debian-archive-keyring.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The suite that modules are built in: rustc, bindgen, the kernels' headers, QEMU.
pub const BUILD_SUITE: &str = "trixie";

/// The suite that kernel 6.1, Xen 4.17 and QEMU 7.2 come from.
pub const OLD_SUITE: &str = "bookworm";

/// Base URIs of Debian's archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    main: String,
    security: String,
}

impl Mirrors {
    /// From the environment, else from the machine's apt sources.
    pub fn find() -> Result<Mirrors> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let sources = read_sources(Path::new("/etc/apt"));
        let security = |source: &Source| source.suites.iter().any(|suite| is_security(suite));
        let find = |want: bool| {
            let mut debian = sources.iter().filter(|source| source.is_debian());
            debian.find_map(|source| (security(source) == want).then(|| source.uri.clone()))
        };
        let Some(main) = set("XCALL_DEBIAN_MIRROR").or_else(|| find(false)) else {
            bail!(
                "no Debian mirror: none in /etc/apt/sources.list or sources.list.d; \
                 set XCALL_DEBIAN_MIRROR to one's address"
            );
        };
        let main = main.trim_end_matches('/').to_owned();
        let security = match set("XCALL_DEBIAN_SECURITY_MIRROR").or_else(|| find(true)) {
            Some(security) => security.trim_end_matches('/').to_owned(),
            // Mirrors that carry both have them side by side.
            None => format!("{main}-security"),
        };
        Ok(Mirrors { main, security })
    }

    /// One-line sources of the build suite with its security, updates and backports.
    pub fn build_sources(&self) -> Vec<String> {
        let Mirrors { main, security } = self;
        vec![
            format!("deb {main} {BUILD_SUITE} main"),
            format!("deb {main} {BUILD_SUITE}-updates main"),
            format!("deb {main} {BUILD_SUITE}-backports main"),
            format!("deb {security} {BUILD_SUITE}-security main"),
        ]
    }

    /// One-line sources of the old suite with its security.
    pub fn old_sources(&self) -> Vec<String> {
        let Mirrors { main, security } = self;
        vec![
            format!("deb {main} {OLD_SUITE} main"),
            format!("deb {security} {OLD_SUITE}-security main"),
        ]
    }
}

/// apt with its own sources and lists.
pub struct Apt {
    root: PathBuf,
}

/// One version of a package that the archive has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its full version.
    pub version: String,
    /// Its `Depends` field.
    pub depends: String,
}

impl Apt {
    /// apt's private folder in the cache, its lists fetched.
    pub fn update(cache: &Cache, mirrors: &Mirrors) -> Result<Apt> {
        let apt = Apt {
            root: cache.path("apt"),
        };
        for folder in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg",
            "var/cache/apt/archives/partial",
        ] {
            fs::create_dir_all(apt.root.join(folder))?;
        }
        fs::write(apt.root.join("var/lib/dpkg/status"), "")?;
        let mut sources = String::new();
        for line in mirrors.build_sources().iter().chain(&mirrors.old_sources()) {
            sources += &line.replacen("deb ", &format!("deb [signed-by={KEYRING}] "), 1);
            sources.push('\n');
        }
        fs::write(apt.root.join("etc/apt/sources.list"), sources)?;

        let mut update = apt.command("apt-get");
        // Not signed off by a fall-back to old lists: a mirror that fails must be seen.
        update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        crate::progress::run("package lists", &mut update, &cache.log("apt-update"))?;
        Ok(apt)
    }

    /// An apt tool that uses this folder.
    fn command(&self, tool: &str) -> Command {
        let root = self.root.display();
        let mut command = child::command(tool);
        for option in [
            format!("Dir={root}"),
            format!("Dir::State::status={root}/var/lib/dpkg/status"),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures=amd64".to_owned(),
            // The cache may lie where apt's own user cannot go.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }

    /// Every version of `package` in the archive.
    pub fn show(&self, package: &str) -> Result<Vec<Package>> {
        let output = self.command("apt-cache").args(["show", package]).output();
        let output = output.context("cannot start apt-cache")?;
        Ok(parse_packages(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The newest version of `package` that `wanted` accepts.
    pub fn newest(
        &self,
        package: &str,
        wanted: impl Fn(&Package) -> bool,
    ) -> Result<Option<Package>> {
        let mut newest: Option<Package> = None;
        for found in self.show(package)?.into_iter().filter(|p| wanted(p)) {
            let newer = match &newest {
                Some(newest) => version_is_newer(&found.version, &newest.version)?,
                None => true,
            };
            if newer {
                newest = Some(found);
            }
        }
        Ok(newest)
    }

    /// Downloads into `folder` what installing `package` (`NAME/SUITE`) on a machine takes of which
    /// dpkg's records are `status`.
    pub fn fetch(&self, package: &str, status: &Path, folder: &Path, log: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("partial"))?;
        let mut fetch = self.command("apt-get");
        for (option, path) in [
            ("Dir::State::status", status),
            ("Dir::Cache::archives", folder),
        ] {
            fetch.arg("-o").arg(format!("{option}={}", path.display()));
        }
        fetch.args(["--yes", "--no-install-recommends", "--download-only"]);
        fetch.args(["install", package]);
        crate::progress::run(&format!("packages for {package}"), &mut fetch, log)?;
        Ok(())
    }

    /// Downloads `package` at `version` into `folder` and unpacks it there.
    pub fn unpack(&self, package: &str, version: &str, folder: &Path, log: &Path) -> Result<()> {
        let mut download = self.command("apt-get");
        download.args(["download", &format!("{package}={version}")]);
        download.current_dir(folder);
        crate::progress::run(&format!("{package} {version}"), &mut download, log)?;
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let mut unpack = child::command("dpkg-deb");
                unpack.arg("-x").arg(&path).arg(folder);
                crate::progress::run(&format!("unpack {package}"), &mut unpack, log)?;
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn version_is_newer(a: &str, b: &str) -> Result<bool> {
    let mut compare = Command::new("dpkg");
    compare.args(["--compare-versions", a, "gt", b]);
    Ok(compare.status().context("cannot start dpkg")?.success())
}

/// Stanzas of `apt-cache show`.
fn parse_packages(text: &str) -> Vec<Package> {
    let stanzas = text.split("\n\n").map(stanza_fields);
    stanzas
        .filter_map(|mut fields| {
            Some(Package {
                version: fields.remove("Version")?,
                depends: fields.remove("Depends").unwrap_or_default(),
            })
        })
        .collect()
}

/// The fields of one deb822 stanza; continuation lines joined by spaces, comments dropped.
fn stanza_fields(stanza: &str) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = last.as_ref().and_then(|key| fields.get_mut(key)) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.insert(key.to_owned(), value.trim().to_owned());
            last = Some(key.to_owned());
        }
    }
    fields
}

/// One entry of the machine's apt sources.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Source {
    /// Whether it is Debian's own archive, by its suite names and its component.
    fn is_debian(&self) -> bool {
        let debian = |suite: &String| {
            let name = suite.split(['-', '/']).next().unwrap_or_default();
            [
                "buster",
                "bullseye",
                "bookworm",
                "trixie",
                "forky",
                "duke",
                "sid",
                "oldstable",
                "stable",
                "testing",
                "unstable",
            ]
            .contains(&name)
        };
        self.components.iter().any(|component| component == "main")
            && self.suites.iter().all(debian)
            && !self.suites.is_empty()
    }
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

/// All entries under an `/etc/apt`; what cannot be read is not there.
fn read_sources(etc_apt: &Path) -> Vec<Source> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(folder) = fs::read_dir(etc_apt.join("sources.list.d")) {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(parse_one_line(&text)),
            Some("sources") => sources.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    for source in &mut sources {
        resolve_mirror_file(source);
    }
    sources
}

/// `mirror+file:` names a file with one mirror a line; the first is as good as any.
fn resolve_mirror_file(source: &mut Source) {
    let Some(file) = source.uri.strip_prefix("mirror+file:") else {
        return;
    };
    let text = fs::read_to_string(file.replacen("//", "", 1)).unwrap_or_default();
    if let Some(uri) = text.split_whitespace().next() {
        source.uri = uri.to_owned();
    }
}

/// `deb [options] URI SUITE COMPONENT...`
fn parse_one_line(text: &str) -> Vec<Source> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    lines
        .filter_map(|line| {
            let line = line.trim().strip_prefix("deb ")?.trim_start();
            let line = match line.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => line,
            };
            let mut words = line.split_whitespace().map(str::to_owned);
            Some(Source {
                uri: words.next()?,
                suites: vec![words.next()?],
                components: words.collect(),
            })
        })
        .collect()
}

/// Stanzas with `Types`, `URIs`, `Suites`, `Components`.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in text.split("\n\n") {
        let fields = stanza_fields(stanza);
        let words = |key: &str| {
            let value = fields.get(key).map(String::as_str).unwrap_or_default();
            value
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let disabled = fields.get("Enabled").is_some_and(|value| value == "no");
        if disabled || !words("Types").contains(&"deb".to_owned()) {
            continue;
        }
        for uri in words("URIs") {
            sources.push(Source {
                uri,
                suites: words("Suites"),
                components: words("Components"),
            });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str]) -> Source {
        Source {
            uri: uri.to_owned(),
            suites: suites.iter().map(|suite| suite.to_string()).collect(),
            components: vec!["main".to_owned()],
        }
    }

    #[test]
    fn one_line_sources() {
        let text = "\
# deb http://commented.invalid/debian trixie main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian trixie main # why
deb-src http://mirror.invalid/debian trixie main
deb http://other.invalid tool-trixie main
";
        let sources = parse_one_line(text);
        assert_eq!(
            sources[0],
            source("http://mirror.invalid/debian", &["trixie"])
        );
        assert_eq!(sources.len(), 2);
        assert!(sources[0].is_debian());
        assert!(!sources[1].is_debian());
    }

    #[test]
    fn deb822_sources() {
        let text = "\
Types: deb deb-src
# a comment
URIs: http://mirror.invalid/debian/
Suites: bookworm
 bookworm-updates
Components: main

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: sid
Components: main
";
        let sources = parse_deb822(text);
        assert_eq!(
            sources,
            [
                source(
                    "http://mirror.invalid/debian/",
                    &["bookworm", "bookworm-updates"]
                ),
                source(
                    "http://mirror.invalid/debian-security",
                    &["bookworm-security"]
                ),
            ]
        );
        assert!(sources.iter().all(Source::is_debian));
        assert!(is_security(&sources[1].suites[0]));
    }

    #[test]
    fn a_mirror_list_file_gives_its_first_mirror() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            "http://first.invalid/debian\nhttp://second.invalid\n",
        )
        .unwrap();
        let path = file.path().display();
        for uri in [
            format!("mirror+file:{path}"),
            format!("mirror+file://{path}"),
        ] {
            let mut listed = source(&uri, &["trixie"]);
            resolve_mirror_file(&mut listed);
            assert_eq!(listed.uri, "http://first.invalid/debian");
        }
    }

    #[test]
    fn package_stanzas() {
        let text = "\
Package: linux-headers-amd64
Version: 6.12.9-1
Depends: linux-headers-6.12.9+deb13-amd64 (= 6.12.9-1)
Description: x
 more

Package: linux-headers-amd64
Version: 7.3.4-1~bpo13+1
";
        let packages = parse_packages(text);
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].version, "6.12.9-1");
        assert!(packages[0]
            .depends
            .starts_with("linux-headers-6.12.9+deb13-amd64"));
    }
}
