//! The scripts of `tests/scripts`.

use std::path::PathBuf;

use crate::script::Script;

/// Where the scripts are.
#[must_use]
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

/// Every script, by file name.
///
/// # Panics
/// When one cannot be read or makes no sense.
#[must_use]
pub fn library() -> Vec<Script> {
    let entries = std::fs::read_dir(directory()).expect("the scripts are there");
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.expect("the folder can be read").path();
            path.file_stem().map(|name| name.to_string_lossy().into_owned())
        })
        .collect();
    names.sort();
    names.iter().map(|name| script_named(name)).collect()
}

/// The script of that file name, without extension.
///
/// # Panics
/// As [`library`].
#[must_use]
pub fn script_named(name: &str) -> Script {
    let path = directory().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Script::parse(name, &text).unwrap_or_else(|problem| panic!("{problem}"))
}
