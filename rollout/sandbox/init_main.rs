//! The first process of a sandbox as a program of its own: what the tests of this crate start.

fn main() {
    rollout::sandbox::init::main_if_asked();
    eprintln!("error: this program is started by the sandbox, with `{}`", rollout::sandbox::init::ARGUMENT);
    std::process::exit(2);
}
