// SPDX-License-Identifier: GPL-2.0
//! The Debian tree that modules are built in: compilers, headers and images of every kernel.

use crate::apt::{self, Apt, Mirrors};
use crate::cache::{self, Cache};
use crate::child;
use crate::kernels::{self, Kernel, KERNELS};
use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What is in the tree beside the kernels' packages.
const PACKAGES: &[&str] = &[
    "bc",
    "bindgen",
    "bison",
    "busybox-static",
    "flex",
    "gcc",
    "gcc-12",
    "gcc-14",
    "kmod",
    "libelf-dev",
    "libssl-dev",
    "make",
    "pahole",
    "rust-clippy",
    "rust-src",
    "rustc",
    "rustfmt",
    "xz-utils",
    "zstd",
];

/// Where the chroot's bind mounts go.
const MOUNT_POINTS: &[&str] = &["build", "cache", "repo"];

/// Left out of the tree: nobody reads it there.
const EXCLUDED: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
];

/// Goes into the key: a new number makes a new tree.
const RECIPE: &str = "3";

/// The kernels' releases by series, as apt answered: `6.12` -> `6.12.9+deb13-amd64`, `6.12.9-1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releases(BTreeMap<String, Release>);

/// One kernel series' point release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What `uname -r` says in its flavour amd64.
    pub kernel: String,
    /// The Debian packages' version.
    pub version: String,
    /// The version of the source package, for kernels with CONFIG_RUST.
    pub source_version: Option<String>,
}

impl Release {
    /// What `uname -r` says in `kernel`, which is one of this series.
    fn uname(&self, kernel: &Kernel) -> String {
        self.kernel.trim_end_matches("amd64").to_owned() + kernel.flavour
    }
}

/// A finished tree.
#[derive(Clone)]
pub struct Sysroot {
    /// Its top folder.
    pub root: PathBuf,
    /// Its name in the cache.
    pub key: String,
    releases: Releases,
}

impl Sysroot {
    /// The tree in the cache, if it is finished.
    pub fn find(cache: &Cache) -> Option<Sysroot> {
        let releases = read_releases(cache)?;
        let key = key(&releases);
        let root = cache.path("sysroot").join(&key);
        root.is_dir().then_some(Sysroot {
            root,
            key,
            releases,
        })
    }

    /// The tree, made if it is not there. `update` asks apt for newer point releases.
    pub fn ensure(cache: &Cache, update: bool) -> Result<Sysroot> {
        if !update {
            if let Some(sysroot) = Sysroot::find(cache) {
                return Ok(sysroot);
            }
        }
        crate::host::require_root("setup: sysroot")?;
        let mirrors = Mirrors::find()?;
        let releases = match read_releases(cache).filter(|_| !update) {
            Some(releases) => releases,
            None => resolve(&Apt::update(cache, &mirrors)?)?,
        };
        let key = key(&releases);
        let root = cache.entry(Path::new("sysroot").join(&key), |folder| {
            make(cache, &mirrors, &releases, folder)
        });
        let root = match root {
            Ok(root) => root,
            Err(error) => {
                // Point releases vanish from the mirrors: ask again next time.
                let _ = fs::remove_file(releases_file(cache));
                return Err(error);
            }
        };
        write_releases(cache, &releases)?;
        Ok(Sysroot {
            root,
            key,
            releases,
        })
    }

    /// The point release of a series.
    pub fn release(&self, kernel: &Kernel) -> Result<&Release> {
        let release = self.releases.0.get(kernel.series);
        release.with_context(|| format!("kernel {}: not in the sysroot", kernel.series))
    }

    /// What `uname -r` says there.
    pub fn uname(&self, kernel: &Kernel) -> Result<String> {
        Ok(self.release(kernel)?.uname(kernel))
    }

    /// Its headers, as seen from inside the tree.
    pub fn headers(&self, kernel: &Kernel) -> Result<String> {
        Ok(format!("/usr/src/linux-headers-{}", self.uname(kernel)?))
    }

    /// Its boot image.
    pub fn image(&self, kernel: &Kernel) -> Result<PathBuf> {
        let place = kernel.image.replace("{}", &self.uname(kernel)?);
        Ok(self.root.join(place))
    }
}

fn releases_file(cache: &Cache) -> PathBuf {
    cache.path("releases.json")
}

fn read_releases(cache: &Cache) -> Option<Releases> {
    let text = fs::read_to_string(releases_file(cache)).ok()?;
    let releases: Releases = serde_json::from_str(&text).ok()?;
    let all = KERNELS.iter().all(|k| releases.0.contains_key(k.series));
    all.then_some(releases)
}

fn write_releases(cache: &Cache, releases: &Releases) -> Result<()> {
    let text = serde_json::to_string_pretty(releases)?;
    let partial = cache.path("releases.json.partial");
    fs::write(&partial, text + "\n")?;
    fs::rename(partial, releases_file(cache))?;
    Ok(())
}

/// Asks apt for the newest point release of each series.
fn resolve(apt: &Apt) -> Result<Releases> {
    let mut releases = BTreeMap::new();
    for kernel in KERNELS {
        let prefix = format!("linux-headers-{}.", kernel.series);
        let newest = apt.newest("linux-headers-amd64", |found| {
            headers_package(&found.depends, &prefix).is_some()
        })?;
        let Some(newest) = newest else {
            let all = apt.show("linux-headers-amd64")?;
            let versions: Vec<_> = all.into_iter().map(|found| found.version).collect();
            bail!(
                "kernel {}: the archive has no such linux-headers-amd64 any more, only {}; \
                 put its successor's line into xtask/src/kernels.rs",
                kernel.series,
                versions.join(", ")
            );
        };
        let package = headers_package(&newest.depends, &prefix).context("no headers package")?;
        let source_version = match kernel.rust {
            false => None,
            true => {
                let name = format!("linux-source-{}", kernel.series);
                let same = apt.newest(&name, |found| found.version == newest.version)?;
                let same = same.with_context(|| {
                    format!("{name}: the archive lacks version {}", newest.version)
                })?;
                Some(same.version)
            }
        };
        let release = Release {
            kernel: package.trim_start_matches("linux-headers-").to_owned(),
            version: newest.version,
            source_version,
        };
        releases.insert(kernel.series.to_owned(), release);
    }
    Ok(Releases(releases))
}

/// The package that starts with `prefix` in a `Depends` field.
fn headers_package(depends: &str, prefix: &str) -> Option<String> {
    let mut names = depends
        .split([',', '|'])
        .filter_map(|part| part.split_whitespace().next());
    names
        .find(|name| name.starts_with(prefix))
        .map(str::to_owned)
}

/// Package arguments for apt, exact where the version decides.
fn packages(releases: &Releases) -> Vec<String> {
    let mut packages: Vec<String> = PACKAGES.iter().map(|name| name.to_string()).collect();
    for kernel in kernels::all() {
        let release = &releases.0[kernel.series];
        let Release {
            version,
            source_version,
            ..
        } = release;
        let name = &release.uname(kernel);
        packages.push(format!("linux-headers-{name}={version}"));
        packages.push(format!(
            "{}={version}",
            kernel.image_package.replace("{}", name)
        ));
        if let Some(version) = source_version {
            packages.push(format!("linux-source-{}={version}", kernel.series));
        }
        if version.contains("~bpo") {
            // Backported kernels want the backported linux-base.
            packages.push(format!("linux-base/{}-backports", apt::BUILD_SUITE));
        }
    }
    packages.sort();
    packages.dedup();
    packages
}

fn key(releases: &Releases) -> String {
    let fixed = [RECIPE, apt::BUILD_SUITE].map(str::to_owned);
    cache::key(fixed.into_iter().chain(packages(releases)))
}

fn make(cache: &Cache, mirrors: &Mirrors, releases: &Releases, folder: &Path) -> Result<()> {
    // mmdebstrap wants to make the folder itself, and leaves nothing when it fails.
    let tree = folder.join("tree");
    let mut command = child::isolated("mmdebstrap");
    command
        .args(["--mode=root", "--variant=apt", "--architectures=amd64"])
        .arg(format!("--keyring={}", apt::KEYRING))
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .arg(format!("--include={}", packages(releases).join(",")));
    for pattern in EXCLUDED {
        command.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    command.arg(apt::BUILD_SUITE).arg(&tree);
    command.args(mirrors.build_sources());
    // For its kernel. Of what both suites have, the newer one's is taken.
    command.args(mirrors.old_sources());
    // No initial RAM disk is made for kernels that only our own boots run.
    command.env("INITRD", "No");
    let label = format!("sysroot (Debian {})", apt::BUILD_SUITE);
    crate::progress::run(&label, &mut command, &cache.log("sysroot"))?;

    for name in MOUNT_POINTS {
        fs::create_dir_all(tree.join(name))?;
    }
    for entry in fs::read_dir(&tree)? {
        let path = entry?.path();
        let name = path.file_name().context("no name")?;
        fs::rename(&path, folder.join(name))?;
    }
    fs::remove_dir(&tree)?;
    for kernel in kernels::all() {
        let release = &releases.0[kernel.series];
        let image = kernel.image.replace("{}", &release.uname(kernel));
        if !folder.join(&image).exists() {
            bail!(
                "kernel {}: no image at {image} in the sysroot; see xtask/src/kernels.rs",
                kernel.name()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_the_same_point_release_in_every_flavour() {
        let release = Release {
            kernel: "6.12.9+deb13-amd64".to_owned(),
            version: "6.12.9-1".to_owned(),
            source_version: None,
        };
        let kernel = kernels::by_series("6.12").unwrap();
        assert_eq!(release.uname(kernel), "6.12.9+deb13-amd64");
        let cloud = kernel.cloud().unwrap();
        assert_eq!(release.uname(cloud), "6.12.9+deb13-cloud-amd64");
    }

    #[test]
    fn the_headers_package_is_found_among_dependencies() {
        let depends = "linux-base (= 7.3.4-1), linux-headers-7.3.4+deb13-amd64 (= 7.3.4-1)";
        let found = headers_package(depends, "linux-headers-7.3.");
        assert_eq!(found.as_deref(), Some("linux-headers-7.3.4+deb13-amd64"));
        assert_eq!(headers_package(depends, "linux-headers-7."), found);
        assert_eq!(headers_package(depends, "linux-headers-6.12."), None);
        // A series is not another's beginning.
        let depends = "linux-headers-6.12.9+deb13-amd64 (= 6.12.9-1)";
        assert_eq!(headers_package(depends, "linux-headers-6.1."), None);
    }
}
