//! The short form of `power-cuts failures`, `full` and `rot`.
#![cfg(target_os = "linux")]

use tandem_proof_power_cuts::failures::{Counts, fail_everywhere, fill_everywhere};
use tandem_proof_power_cuts::rot::{self, rot_everywhere};
use tandem_proof_power_cuts::workload::Script;

fn fine<T: std::fmt::Debug>(outcome: Result<T, Vec<String>>) -> T {
    match outcome {
        Ok(counts) => {
            println!("{counts:?}");
            counts
        }
        Err(failures) => panic!("{} failures:\n{}", failures.len(), failures.join("\n")),
    }
}

#[test]
fn g9_every_failing_system_call_is_a_coded_error_and_loses_nothing() {
    for (name, step) in [("short", 8), ("short over tables", 13)] {
        let script = Script::named(name);
        let ledger = script.record().expect("nothing fails without a fault").ledger;
        let Counts { struck, answered } = fine(fail_everywhere(script, &ledger, step));
        assert!(struck > 100 && answered > struck / 2, "{name}: {struck}, {answered}");
    }
}

#[test]
fn g9_a_full_disk_is_a_coded_error_and_loses_nothing() {
    for (name, step) in [("short", 701), ("short over tables", 2_503)] {
        let script = Script::named(name);
        let ledger = script.record().expect("nothing fails without a fault").ledger;
        let Counts { struck, answered } = fine(fill_everywhere(script, &ledger, step));
        assert!(struck > 10 && answered > struck / 2, "{name}: {struck}, {answered}");
    }
}

#[test]
fn g9_no_changed_byte_of_a_closed_store_is_silently_wrong() {
    for (name, step) in [("short", 37), ("short over tables", 67)] {
        let recorded = Script::named(name).record().expect("nothing fails without a fault");
        let rot::Counts { damages, refused, noticed, .. } =
            fine(rot_everywhere(&recorded, step, 7));
        assert!(damages > 500 && refused + noticed > damages / 2, "{name}");
    }
}
