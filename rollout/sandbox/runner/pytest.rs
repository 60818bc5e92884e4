//! pytest, told through events instead of text.
//!
//! The sources of the trusted side that runs inside a sandbox: the fork server (`zygote`) or the runner of a container
//! (`container`), what both do for one job (`job`), where it may write (`landlock`), the byte code that saves it most of
//! its time (`compiled`), exceptions that are what they say (`raises`), the look at those who judge (`integrity`), a run
//! that looks like a program's (`compared`), a command in a work tree (`workspace`), and the plugin that reports every test
//! and the first failure as it fails (`pytest_plugin`).

/// Name and text of every module. The order is that in which they need each other.
pub const MODULES: [(&str, &str); 12] = [
    ("landlock", include_str!("pytest/landlock.py")),
    ("memory", include_str!("pytest/memory.py")),
    ("raises", include_str!("pytest/raises.py")),
    ("integrity", include_str!("pytest/integrity.py")),
    ("compiled", include_str!("pytest/compiled.py")),
    ("compared", include_str!("pytest/compared.py")),
    ("pytest_plugin", include_str!("pytest/pytest_plugin.py")),
    ("workspace", include_str!("pytest/workspace.py")),
    ("jest", include_str!("jest/jest.py")),
    ("job", include_str!("pytest/job.py")),
    ("container", include_str!("pytest/container.py")),
    ("zygote", include_str!("pytest/zygote.py")),
];
