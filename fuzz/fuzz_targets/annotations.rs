//! Whole maps of annotations, and a request to the routes that they are on.
#![no_main]

use edgeward_tests::hostile::survives_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| survives_bytes(bytes));
