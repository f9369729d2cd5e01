//! `tandem-proof-schedules [schedules per scenario] [seed] [scenario] [schedule]`

use tandem_proof_schedules::{SCENARIOS, explore, replay};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let (schedules, seed) = (number(0, 10_000), number(1, 1));
    let mut total = 0;
    for scenario in SCENARIOS {
        if arguments.get(2).is_some_and(|name| name != scenario.name) {
            continue;
        }
        if let Some(schedule) = arguments.get(3) {
            return replay(scenario.body, schedule);
        }
        let count = usize::try_from(schedules).expect("fits");
        let run = explore(scenario.name, scenario.body, count, seed);
        println!("{:<18} {run:>8} schedules", scenario.name);
        total += run;
    }
    println!("{:<18} {total:>8} schedules, seed {seed}", "in all");
}
