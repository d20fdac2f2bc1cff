#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rsachat_fuzz::agent_answer(data));
