//! The `refit` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    refit::cli::main()
}
