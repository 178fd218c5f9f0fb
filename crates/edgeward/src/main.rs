//! The `edgeward` program.

use std::process::ExitCode;

/// Both sides of a proxied request allocate on one thread and free on another; mimalloc is made for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    edgeward::run(std::env::args_os())
}
