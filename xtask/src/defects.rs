// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask loom --defects`: every seeded defect must be caught by the models or host tests
//! that claim to.
//!
//! `loom-tests/defects.toml` lists the defects. Each is put into a copy of the engine, always in
//! the same folder, so that cargo builds only what the defect touches. The next copy is built
//! while the last one's models run.

use crate::child::{self, Captured};
use crate::loom::{self, Verdict};
use crate::{repo, signals, table};
use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

const LIST: &str = "loom-tests/defects.toml";

/// The packages that the copy has, as far as they exist.
const MEMBERS: &[&str] = &[
    "xcall",
    "xcall/host",
    "xcall/primitive",
    "provider",
    "provider/assembler",
    "provider/dif",
    "provider/dof",
    "provider/gates",
    "provider/idt",
    "provider/interface",
    "provider/program",
    "provider/syscall",
    "loom-tests",
];

/// A host test named as a catcher.
const HOST: &str = "host:";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    defect: Vec<Defect>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defect {
    name: String,
    why: String,
    file: Option<PathBuf>,
    find: Option<String>,
    replace: Option<String>,
    #[serde(default)]
    edit: Vec<Edit>,
    caught_by: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    pub(crate) file: PathBuf,
    pub(crate) find: String,
    pub(crate) replace: String,
}

/// One line of the table.
struct Row {
    defect: String,
    catcher: String,
    result: Catch,
    said: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Catch {
    Caught,
    Missed,
    /// The copy did not build, or the catcher does not exist.
    Broken,
}

impl Catch {
    fn word(self) -> &'static str {
        match self {
            Catch::Caught => "CAUGHT",
            Catch::Missed => "MISSED",
            Catch::Broken => "ERROR",
        }
    }
}

/// Shows that each defect is caught; fails if one is not.
pub fn check(only: Option<&str>, limit: Duration) -> Result<()> {
    let path = repo::root().join(LIST);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {LIST}"))?;
    let list: List = toml::from_str(&text).with_context(|| LIST.to_owned())?;
    let mut defects = list.defect;
    defects.retain(|defect| only.is_none_or(|only| defect.name.contains(only)));
    ensure!(
        !defects.is_empty(),
        "{LIST}: no defect has {:?} in its name",
        only.unwrap_or("")
    );
    let count = defects.len();

    let copy = Copy::new()?;
    let (built, received) = mpsc::sync_channel::<Built>(1);
    let rows = std::thread::scope(|scope| {
        let runner = scope.spawn(move || run_models(received, limit));
        let mut rows = Vec::new();
        for defect in &defects {
            match copy.build(defect, limit, &mut rows) {
                Ok(binary) => drop(built.send((defect.clone(), binary))),
                Err(error) => rows.push(Row {
                    defect: defect.name.clone(),
                    catcher: "-".to_owned(),
                    result: Catch::Broken,
                    said: error
                        .to_string()
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                }),
            }
            if signals::interrupted() {
                break;
            }
        }
        drop(built);
        rows.extend(runner.join().unwrap_or_default());
        rows
    });
    signals::check()?;
    report(&defects, rows, count)
}

fn report(defects: &[Defect], mut rows: Vec<Row>, count: usize) -> Result<()> {
    let order: BTreeMap<&str, usize> = defects
        .iter()
        .enumerate()
        .map(|(at, defect)| (defect.name.as_str(), at))
        .collect();
    rows.sort_by_key(|row| order.get(row.defect.as_str()).copied());
    let cells = rows.iter().map(|row| {
        let said: String = row.said.chars().take(90).collect();
        vec![
            row.defect.clone(),
            row.result.word().to_owned(),
            row.catcher.clone(),
            said,
        ]
    });
    let cells: Vec<_> = cells.collect();
    print!(
        "{}",
        table::render(&["defect", "result", "by", "which said"], &cells)
    );
    let bad: Vec<&Row> = rows
        .iter()
        .filter(|row| row.result != Catch::Caught)
        .collect();
    let lines = bad.iter().map(|row| {
        let why = defects.iter().find(|defect| defect.name == row.defect);
        let why = why.map_or("", |defect| defect.why.as_str());
        let (defect, result, catcher) = (&row.defect, row.result.word(), &row.catcher);
        format!("{defect}: {result} by {catcher}: {why}\n{}", row.said)
    });
    let lines: Vec<String> = lines.collect();
    if !bad.is_empty() {
        let (bad, all) = (bad.len(), rows.len());
        bail!("{bad} of {all} catches failed:\n{}", lines.join("\n"));
    }
    println!("{count} defects caught");
    Ok(())
}

/// A defect and the program of models built with it, if a model is to catch it.
type Built = (Defect, Option<PathBuf>);

fn run_models(received: mpsc::Receiver<Built>, limit: Duration) -> Vec<Row> {
    let mut rows = Vec::new();
    for (defect, binary) in received {
        let Some(binary) = binary else { continue };
        let known = loom::list(&binary).unwrap_or_default();
        for model in defect
            .caught_by
            .iter()
            .filter(|name| !name.starts_with(HOST))
        {
            let (result, said) = match known.contains(model) {
                true => catch(&binary, model, limit),
                false => (Catch::Broken, "no such model".to_owned()),
            };
            eprintln!("{:<6} {} by {model}", result.word(), defect.name);
            rows.push(Row {
                defect: defect.name.clone(),
                catcher: model.clone(),
                result,
                said,
            });
        }
        let _ = fs::remove_file(binary);
    }
    rows
}

/// Whether the model fails.
fn catch(binary: &Path, model: &str, limit: Duration) -> (Catch, String) {
    match loom::run(binary, model, limit) {
        Ok(Verdict::Fail { first, .. }) => (Catch::Caught, first),
        Ok(Verdict::Pass(said)) => (Catch::Missed, said),
        Ok(Verdict::TimedOut) => (Catch::Missed, format!("no end after {} s", limit.as_secs())),
        Err(error) => (Catch::Broken, error.to_string()),
    }
}

/// The copy that defects are put into.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn new() -> Result<Copy> {
        let root = repo::target().join("defects");
        fs::create_dir_all(root.join("work"))?;
        Ok(Copy { root })
    }

    /// Puts `defect` into the copy and builds it. Runs its host tests, adding their rows; gives
    /// the program of models if one is named.
    fn build(
        &self,
        defect: &Defect,
        limit: Duration,
        rows: &mut Vec<Row>,
    ) -> Result<Option<PathBuf>> {
        let mut files = originals()?;
        for edit in edits(defect)? {
            let path = edit.file.display().to_string();
            let text = files
                .get_mut(&edit.file)
                .with_context(|| format!("{path}: no such file"))?;
            *text = apply(text, &edit).with_context(|| path)?;
        }
        let work = self.root.join("work");
        write_changed(&work, &files)?;

        for name in &defect.caught_by {
            if let Some(test) = name.strip_prefix(HOST) {
                let (result, said) = self.host_test(&work, test, limit)?;
                eprintln!("{:<6} {} by {name}", result.word(), defect.name);
                rows.push(Row {
                    defect: defect.name.clone(),
                    catcher: name.clone(),
                    result,
                    said,
                });
            }
        }
        if defect.caught_by.iter().all(|name| name.starts_with(HOST)) {
            return Ok(None);
        }
        let target = self.root.join("loom");
        let mut cargo = loom::cargo(&work, &target, "build");
        cargo.args(["--offline", "--package", "loom-tests"]);
        build(&cargo, &defect.name)?;
        let binary = self.root.join(format!("{}.bin", defect.name));
        fs::copy(loom::program(&target), &binary)?;
        Ok(Some(binary))
    }

    /// Whether the host test fails, or hangs, in the copy.
    fn host_test(&self, work: &Path, test: &str, limit: Duration) -> Result<(Catch, String)> {
        let cargo = || {
            let mut cargo = child::command(env!("CARGO"));
            cargo.args([
                "test",
                "--offline",
                "--workspace",
                "--exclude",
                "loom-tests",
            ]);
            cargo
                .arg("--target-dir")
                .arg(self.root.join("host"))
                .current_dir(work);
            cargo
        };
        let mut compile = cargo();
        compile.arg("--no-run");
        build(&compile, test)?;
        let mut run = cargo();
        run.args(["--no-fail-fast", test]);
        let Captured { status, output } = child::capture(&run, limit)?;
        Ok(match status {
            None => (Catch::Caught, format!("hung for {} s", limit.as_secs())),
            Some(_) if !ran_a_test(&output) => (Catch::Broken, "no such test".to_owned()),
            Some(status) if status.success() => (Catch::Missed, "passed".to_owned()),
            Some(status) => {
                let first = loom::first_panic(&output);
                (Catch::Caught, first.unwrap_or_else(|| status.to_string()))
            }
        })
    }
}

fn ran_a_test(output: &str) -> bool {
    let ran = |line: &str| line.starts_with("running ") && line != "running 0 tests";
    output.lines().any(ran)
}

fn build(cargo: &std::process::Command, name: &str) -> Result<()> {
    let Captured { status, output } = child::capture(cargo, Duration::from_secs(1800))?;
    if !status.is_some_and(|status| status.success()) {
        let error = output.lines().find(|line| line.starts_with("error"));
        eprintln!("{}", crate::progress::last_lines(&output));
        bail!("{name}: does not build: {}", error.unwrap_or("?"));
    }
    Ok(())
}

fn edits(defect: &Defect) -> Result<Vec<Edit>> {
    let mut edits = defect.edit.clone();
    match (&defect.file, &defect.find, &defect.replace) {
        (Some(file), Some(find), Some(replace)) => edits.push(Edit {
            file: file.clone(),
            find: find.clone(),
            replace: replace.clone(),
        }),
        (None, None, None) => {}
        _ => bail!("file, find and replace belong together"),
    }
    ensure!(!edits.is_empty(), "it edits nothing");
    Ok(edits)
}

/// `text` with the edit made; what it looks for must be there exactly once.
pub(crate) fn apply(text: &str, edit: &Edit) -> Result<String> {
    match text.matches(&edit.find).count() {
        1 => Ok(text.replacen(&edit.find, &edit.replace, 1)),
        0 => bail!("what the edit looks for is not there: {:?}", edit.find),
        count => bail!(
            "what the edit looks for is there {count} times: {:?}",
            edit.find
        ),
    }
}

/// Makes `work` a copy with `edit` in it.
pub(crate) fn seed(work: &Path, edit: &Edit) -> Result<()> {
    let mut files = originals()?;
    let path = edit.file.display().to_string();
    let text = files
        .get_mut(&edit.file)
        .with_context(|| format!("{path}: no such file"))?;
    *text = apply(text, edit).context(path)?;
    write_changed(work, &files)
}

/// Every file of the copy, by its path in it, without a defect.
fn originals() -> Result<BTreeMap<PathBuf, String>> {
    let root = repo::root();
    let mut files = BTreeMap::new();
    for member in MEMBERS {
        read_all(&root, Path::new(member), &mut files)?;
    }
    for name in ["Cargo.toml", "Cargo.lock"] {
        files.insert(name.into(), fs::read_to_string(root.join(name))?);
    }
    if let Some(manifest) = files.get_mut(Path::new("Cargo.toml")) {
        *manifest = workspace(manifest)?;
    }
    Ok(files)
}

fn read_all(root: &Path, path: &Path, files: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let from = root.join(path);
    if from.is_dir() {
        for entry in fs::read_dir(&from)? {
            let name = entry?.file_name();
            if !name.to_string_lossy().starts_with('.') && name != "target" {
                read_all(root, &path.join(name), files)?;
            }
        }
    } else if let Ok(text) = fs::read_to_string(&from) {
        files.insert(path.to_owned(), text);
    }
    Ok(())
}

/// The workspace's manifest, less the members that the copy does not have.
fn workspace(manifest: &str) -> Result<String> {
    let mut manifest: toml::Table = toml::from_str(manifest).context("Cargo.toml")?;
    let workspace = manifest
        .get_mut("workspace")
        .and_then(toml::Value::as_table_mut);
    let workspace = workspace.context("Cargo.toml: no [workspace]")?;
    let kept = |path: &str| MEMBERS.contains(&path);
    if let Some(members) = workspace
        .get_mut("members")
        .and_then(toml::Value::as_array_mut)
    {
        members.retain(|member| member.as_str().is_some_and(kept));
    }
    if let Some(all) = workspace
        .get_mut("dependencies")
        .and_then(toml::Value::as_table_mut)
    {
        all.retain(|_, dependency| {
            let path = dependency.get("path").and_then(toml::Value::as_str);
            path.is_none_or(kept)
        });
    }
    Ok(toml::to_string(&manifest)?)
}

/// Writes the files whose text differs, so that cargo sees no change where there is none; removes
/// those that are no more.
fn write_changed(work: &Path, files: &BTreeMap<PathBuf, String>) -> Result<()> {
    for (path, text) in files {
        let path = work.join(path);
        // cargo prunes the lock file of the copy: that is no difference.
        let keep = path.ends_with("Cargo.lock") && path.exists();
        if keep || fs::read_to_string(&path).is_ok_and(|there| there == *text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut there = BTreeMap::new();
    read_all(work, Path::new(""), &mut there)?;
    for gone in there.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(work.join(gone))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(find: &str) -> Edit {
        Edit {
            file: "x".into(),
            find: find.into(),
            replace: "new".into(),
        }
    }

    #[test]
    fn an_edit_must_fit_exactly_once() {
        assert_eq!(apply("an old word", &edit("old")).unwrap(), "an new word");
        assert!(apply("nothing", &edit("old")).is_err());
        assert!(apply("old and old", &edit("old")).is_err());
    }

    #[test]
    fn the_copy_has_only_its_members() {
        let manifest = "\
[workspace]
members = [\"xcall\", \"stress\"]
[workspace.dependencies]
xcall = { path = \"xcall\" }
stress = { path = \"stress\" }
loom = \"0.7\"
";
        let manifest: toml::Table = toml::from_str(&workspace(manifest).unwrap()).unwrap();
        let workspace = &manifest["workspace"];
        assert_eq!(workspace["members"].as_array().unwrap().len(), 1);
        assert!(workspace["dependencies"].get("stress").is_none());
        assert!(workspace["dependencies"].get("loom").is_some());
    }

    #[test]
    fn the_list_is_well_formed() {
        let text = fs::read_to_string(repo::root().join(LIST)).unwrap();
        let list: List = toml::from_str(&text).unwrap();
        let files = originals().unwrap();
        for defect in &list.defect {
            for edit in edits(defect).unwrap() {
                let fits = apply(&files[&edit.file], &edit);
                assert!(fits.is_ok(), "{}: {}", defect.name, fits.unwrap_err());
            }
        }
    }
}
