//! `workload SCENARIO --dir DIR --log FILE`: does a known amount of I/O and writes down what it did.

fn main() {
    iotrace_tests::workload::main();
}
