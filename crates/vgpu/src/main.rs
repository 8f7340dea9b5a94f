//! The program `vgpu`. Everything is in the library; see `cli`.

fn main() -> std::process::ExitCode {
    vgpu::cli::main()
}
