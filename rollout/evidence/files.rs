//! Files of data that a test may hand to what it tests.
//!
//! In: a tree, a test file of it. Out: the small texts beside it and below that it names, by their path.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Larger files are left alone, and so is what lies deeper, or after so many.
const MOST_BYTES: u64 = 32 << 10;
const DEPTH: usize = 4;
const MOST: usize = 400;
/// What is no data.
const CODE: [&str; 9] = ["py", "pyc", "js", "ts", "jsx", "tsx", "mjs", "cjs", "so"];

/// The files below the folder of `test` whose names stand in one of these texts.
pub(super) fn files_beside(tree: &Path, test: &str, texts: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = MOST;
    let folder = Path::new(test).parent().unwrap_or(Path::new(""));
    collect(tree, folder, DEPTH, texts, &mut left, &mut found);
    found
}

fn collect(
    tree: &Path,
    folder: &Path,
    depth: usize,
    texts: &[&str],
    left: &mut usize,
    found: &mut BTreeMap<String, String>,
) {
    let Ok(entries) = fs::read_dir(tree.join(folder)) else {
        return;
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    for name in names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| !name.starts_with(['.', '_']))
    {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let path = folder.join(name);
        let Ok(meta) = fs::symlink_metadata(tree.join(&path)) else {
            continue;
        };
        if meta.is_dir() && depth > 0 {
            collect(tree, &path, depth - 1, texts, left, found);
        }
        let is_code = path
            .extension()
            .and_then(|end| end.to_str())
            .is_some_and(|end| CODE.contains(&end));
        let is_small = meta.is_file() && meta.len() <= MOST_BYTES;
        if is_code || !is_small || !texts.iter().any(|text| text.contains(name)) {
            continue;
        }
        if let (Some(path), Ok(text)) = (path.to_str(), fs::read_to_string(tree.join(&path))) {
            found.insert(path.to_string(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_texts_that_are_named_are_found() {
        let tree = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
            fs::write(path, text).expect("is written");
        };
        write("tests/data/a.csv", "1");
        write("tests/data/b.csv", "2");
        write("tests/help.py", "3");
        write("c.csv", "4");
        let found = files_beside(
            tree.path(),
            "tests/test_a.py",
            &["DATA / 'a.csv', 'help.py', 'c.csv'"],
        );
        assert_eq!(
            found,
            BTreeMap::from([("tests/data/a.csv".to_string(), "1".to_string())])
        );
    }
}
