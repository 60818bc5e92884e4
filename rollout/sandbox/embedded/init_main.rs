//! The first process of a sandbox as a program of its own: what the tests of this crate start.

fn main() {
    sandbox::embedded::init::main_if_asked();
    eprintln!(
        "error: this program is started by the sandbox, with `{}`",
        sandbox::embedded::init::ARGUMENT
    );
    std::process::exit(2);
}
