//! What a package says about its license.
//!
//! In: its tree. Out: the words of its metadata, or of its license file; `unknown` where there are none.
//! Example: `License-Expression: MIT` in `PKG-INFO` gives `MIT`.

use std::fs;
use std::path::Path;

/// Words of license files, and what they are called.
const TEXTS: [(&str, &str); 7] = [
    ("Permission is hereby granted, free of charge", "MIT"),
    ("Apache License", "Apache-2.0"),
    ("Neither the name", "BSD-3-Clause"),
    ("Redistributions of source code must retain", "BSD-2-Clause"),
    ("Mozilla Public License", "MPL-2.0"),
    ("GNU LESSER GENERAL PUBLIC LICENSE", "LGPL"),
    ("GNU GENERAL PUBLIC LICENSE", "GPL"),
];

/// The license of the package in `tree`, as its metadata says it, or else its license file; `unknown` otherwise.
pub fn license(tree: &Path) -> String {
    let said = fs::read_to_string(tree.join("PKG-INFO"))
        .ok()
        .and_then(|text| of_metadata(&text));
    said.or_else(|| of_file(tree))
        .unwrap_or_else(|| "unknown".into())
}

fn of_metadata(text: &str) -> Option<String> {
    let headers = text.split("\n\n").next()?;
    let value = |name: &str| {
        let line = headers
            .lines()
            .find_map(|line| line.strip_prefix(name))?
            .trim();
        // Some packages put the whole text there.
        (!line.is_empty() && line.len() <= 40 && line != "UNKNOWN").then(|| line.to_string())
    };
    value("License-Expression:").or_else(|| value("License:"))
}

fn of_file(tree: &Path) -> Option<String> {
    let mut files: Vec<_> = fs::read_dir(tree)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let is_license = |path: &std::path::PathBuf| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        ["license", "licence", "copying"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let texts = files
        .iter()
        .filter(|path| is_license(path))
        .filter_map(|path| fs::read_to_string(path).ok());
    let known = |text: String| {
        TEXTS
            .iter()
            .find(|(words, _)| text.contains(words))
            .map(|(_, name)| name.to_string())
    };
    texts.filter_map(known).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_comes_before_the_file_and_nothing_is_guessed() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(license(folder.path()), "unknown");
        fs::write(
            folder.path().join("LICENSE.txt"),
            "Permission is hereby granted, free of charge, to",
        )
        .expect("writes");
        assert_eq!(license(folder.path()), "MIT");
        fs::write(
            folder.path().join("PKG-INFO"),
            "Name: a\nLicense: BSD\n\nLicense: of the text\n",
        )
        .expect("writes");
        assert_eq!(license(folder.path()), "BSD");
        fs::write(
            folder.path().join("PKG-INFO"),
            "Name: a\nLicense: UNKNOWN\n",
        )
        .expect("writes");
        assert_eq!(license(folder.path()), "MIT");
    }
}
