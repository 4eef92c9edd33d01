//! What a definition may write, and what it is told where that is wrong.

use serde_json::{Value, json};
use thalweg_training::{Clip, Optimizer, Rule, Schedule};

fn read(settings: Value) -> Result<Optimizer, String> {
    Optimizer::read(settings.as_object().unwrap())
}

#[test]
fn defaults_are_the_frameworks() {
    assert_eq!(
        read(json!({})).unwrap(),
        Optimizer {
            rule: Rule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0, decoupled: false, amsgrad: false },
            rate: 0.001,
            schedule: Schedule::Constant,
            clip: None
        }
    );
    let adamw = read(json!({"kind": "adamw", "clip_norm": 1})).unwrap();
    assert!(matches!(adamw.rule, Rule::Adam { decay: 0.01, decoupled: true, .. }));
    assert_eq!(adamw.clip, Some(Clip::Norm(1.0)));
    for kind in thalweg_training::read::RULES {
        assert_eq!(Optimizer::named(kind, 0.1).unwrap().rule.name(), kind);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    for (settings, message) in [
        (json!({"kind": "adamx"}), "there is no optimiser `adamx`: sgd, adam, adamw, rmsprop, adagrad, lion, lbfgs"),
        (json!({"kind": "adam", "momentum": 0.9}), "adam has no setting `momentum`"),
        (json!({"kind": "sgd", "lr": -1}), "`lr` is at least 0, not -1"),
        (json!({"kind": "sgd", "lr": "fast"}), "`lr` is a number, not \"fast\""),
        (json!({"kind": "sgd", "nesterov": true}), "`nesterov` needs `momentum`, and no `dampening`"),
        (json!({"kind": "sgd", "momentum": 2}), "`momentum` is from 0 to 1, not 2"),
        (json!({"kind": "adam", "betas": [0.9]}), "`betas` are two numbers from 0 to below 1: [0.9, 0.999]"),
        (json!({"kind": 7}), "`kind` is a name, not 7"),
        (json!({"clip_norm": 1, "clip_value": 1}), "`clip_norm` and `clip_value` are two ways to clip: write one of them"),
        (json!({"clip_norm": 0}), "`clip_norm` is above 0, not 0"),
        (json!({"amsgrad": 1}), "`amsgrad` is true or false, not 1"),
        (json!({"schedule": "cosine"}), "`schedule` is written { kind = \"cosine\", steps = 1000 }"),
        (
            json!({"schedule": {}}),
            "a schedule needs its `kind`: constant, step, exponential, cosine, linear, polynomial, restarts, one-cycle",
        ),
        (json!({"schedule": {"kind": "cosine"}}), "the schedule cosine needs `steps`, a number of steps"),
        (json!({"schedule": {"kind": "step", "every": 0}}), "`every` is at least 1, not 0"),
        (json!({"schedule": {"kind": "one-cycle", "steps": 5}}), "`steps` is at least 8, not 5"),
        (json!({"kind": "lbfgs", "history": 5000}), "`history` is at most 1000, not 5000"),
        (json!({"schedule": {"kind": "step", "every": 2, "gamma": 1}}), "the schedule step has no setting `gamma`"),
    ] {
        assert_eq!(read(settings.clone()).unwrap_err(), message, "{settings}");
    }
}
