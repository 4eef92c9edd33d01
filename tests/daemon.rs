//! The daemon from end to end: the built binary against real servers, killed, starved and lied to.
//!
//! Next to read: `daemon/harness.rs`, then `daemon/kill.rs`, which holds the promise that matters most.

mod daemon {
    mod harness;

    mod added;
    mod altered;
    mod back;
    mod backup;
    mod bar;
    mod clocked;
    mod crash;
    mod digest;
    mod doctor;
    mod dolt;
    mod effects;
    mod emptied;
    mod faults;
    mod file;
    mod full;
    mod goals;
    mod kill;
    mod latency;
    mod outside;
    mod past;
    mod pile;
    mod programs;
    mod reload;
    mod scripted;
    mod seed;
    mod settled;
    mod status;
    mod sync;
    mod tail;
    mod timer;
    mod writers;
}
