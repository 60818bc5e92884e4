//! What a repository says that it needs: the one list from which packages may be installed.
//!
//! In: a tree and the name of a module. Out: the requirement that brings it. A module that no requirement names is never
//! installed: what a failing test says is the word of the code under test.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Modules whose package has another name.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("yaml", "pyyaml"),
    ("PIL", "pillow"),
    ("dateutil", "python-dateutil"),
    ("sklearn", "scikit-learn"),
    ("bs4", "beautifulsoup4"),
    ("attr", "attrs"),
    ("cv2", "opencv-python"),
    ("dotenv", "python-dotenv"),
    ("git", "gitpython"),
];

/// A requirement without a place to fetch it from: name, extras, versions.
static REQUIREMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[\w, .-]*\])?\s*(?P<versions>(?:(?:===|==|~=|!=|<=|>=|<|>)\s*[\w.*+!-]+\s*,?\s*)*)(?:;.*)?$")
        .expect("the pattern is well formed")
});

/// The requirement of the repository that brings `module`; none where there is none.
pub fn declares(root: &Path, module: &str) -> Option<String> {
    let other = OTHER_NAMES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, package)| *package);
    let wanted = [plain(module), other.map(plain).unwrap_or_default()];
    let name_of = |requirement: &String| {
        REQUIREMENT
            .captures(requirement)
            .is_some_and(|captures| wanted.contains(&plain(&captures["name"])))
    };
    requirements(root).into_iter().find(name_of)
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

/// Every requirement of `requirements*.txt`, `pyproject.toml` and `setup.cfg`, without its marker.
fn requirements(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("requirements") && name.ends_with(".txt"))
        .collect();
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let text = fs::read_to_string(root.join(name)).unwrap_or_default();
        found.extend(text.lines().filter_map(requirement));
    }
    let pyproject = fs::read_to_string(root.join("pyproject.toml")).unwrap_or_default();
    found.extend(
        pyproject
            .split(['"', '\''])
            .skip(1)
            .step_by(2)
            .filter_map(requirement),
    );
    let setup = fs::read_to_string(root.join("setup.cfg")).unwrap_or_default();
    let listed = setup
        .lines()
        .skip_while(|line| !line.starts_with("install_requires"))
        .skip(1);
    found.extend(
        listed
            .take_while(|line| line.starts_with([' ', '\t']))
            .filter_map(requirement),
    );
    found
}

fn requirement(line: &str) -> Option<String> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    let captures = REQUIREMENT.captures(line)?;
    Some(format!(
        "{}{}",
        &captures["name"],
        captures["versions"].replace(' ', "").trim_end_matches(',')
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_repository_names_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
        write(
            "requirements-dev.txt",
            "# tools\npython-dateutil >= 2.8, <3 ; python_version > '3'\n-e .\nhttps://x.org/a.whl\n",
        );
        write(
            "pyproject.toml",
            "[project]\nname = \"money\"\ndependencies = [\"six==1.16.0\"]\n",
        );
        write(
            "setup.cfg",
            "[options]\ninstall_requires =\n    typing_extensions\npackages = find:\n",
        );
        let declared = |module| declares(folder.path(), module);
        assert_eq!(
            declared("dateutil").as_deref(),
            Some("python-dateutil>=2.8,<3")
        );
        assert_eq!(declared("six").as_deref(), Some("six==1.16.0"));
        assert_eq!(
            declared("typing_extensions").as_deref(),
            Some("typing_extensions")
        );
        for module in ["requests", "find", "x"] {
            assert_eq!(declared(module), None, "{module}");
        }
    }
}
