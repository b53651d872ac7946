//! Chooses the compiled kernel side that is embedded: the checked-in one, or the one named by `IOTRACE_BPF_OBJECT`.

fn main() {
    println!("cargo::rerun-if-env-changed=IOTRACE_BPF_OBJECT");
    let object = std::env::var("IOTRACE_BPF_OBJECT").unwrap_or_else(|_| {
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        format!("{package}/ebpf/iotrace.bpf.o")
    });
    println!("cargo::rerun-if-changed={object}");
    println!("cargo::rustc-env=IOTRACE_BPF_OBJECT={object}");
}
