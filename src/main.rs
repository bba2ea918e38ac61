mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    surety::cli::main()
}
