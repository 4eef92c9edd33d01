//! The command line as its users see it: the built binary, whole outputs.

mod cli {
    mod harness;

    mod apply;
    mod definitions;
    mod derived;
    mod doctor;
    mod eval;
    mod examples;
    mod goals;
    mod graph;
    mod index;
    mod live;
    mod manners;
    mod tables;
    mod tail;
}
