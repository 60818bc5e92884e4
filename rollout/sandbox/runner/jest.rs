//! jest, told through the same events as pytest.
//!
//! The sources of the trusted side, each with its name below `run/train` of a sandbox: of its root where that is ours, else
//! written there by the runner of a container before the job's barriers are up. `jest.py` holds the event
//! channel and loads no code under test; Node.js runs as its child, with jest's own programmatic interface and parts of
//! ours for the environment, the module system, the transformer and the reporter. What their verdict rests on: see
//! `jest.py`; what the code under test cannot change: see `jest_guard.js`.

/// Name and text of every file in JavaScript.
pub const FILES: [(&str, &str); 10] = [
    ("jest_main.js", include_str!("jest/jest_main.js")),
    ("jest_channel.js", include_str!("jest/jest_channel.js")),
    (
        "jest_environment.js",
        include_str!("jest/jest_environment.js"),
    ),
    ("jest_failure.js", include_str!("jest/jest_failure.js")),
    ("jest_guard.js", include_str!("jest/jest_guard.js")),
    ("jest_output.js", include_str!("jest/jest_output.js")),
    ("jest_reporter.js", include_str!("jest/jest_reporter.js")),
    ("jest_runtime.js", include_str!("jest/jest_runtime.js")),
    ("jest_sequencer.js", include_str!("jest/jest_sequencer.js")),
    ("jest_transform.js", include_str!("jest/jest_transform.js")),
];
