// SPDX-License-Identifier: GPL-2.0
//! All forms of output, of a played kernel's records.

mod played;

use dtrace::name::ProbeName;
use dtrace::options::Options;
use dtrace::program::{Aggregate, Clause, Printf};
use dtrace::run::{self, End, Form, Plan};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::action::ActionKind;
use dtrace_interface::options::OptionId;
use dtrace_interface::variable::BuiltIn;
use dtrace_interface::Plain;
use played::{Is, Played, Stage, Step};

const READ: &str = "syscall:vmlinux:read:entry";
const READ_RETURN: &str = "syscall:vmlinux:read:return";
const OPENAT: &str = "syscall:vmlinux:openat:entry";

fn kernel() -> Played {
    Played::new(2, &[READ, READ_RETURN, OPENAT])
}

fn clause(name: &str, record: &[&str]) -> (String, Clause) {
    let clause = Clause {
        name: name.parse().unwrap(),
        record: record.iter().map(|field| field.parse().unwrap()).collect(),
        ..Clause::default()
    };
    (name.to_owned(), clause)
}

fn plan(clauses: &[(&str, &[&str])]) -> Plan {
    let clauses = clauses.iter().map(|(name, record)| clause(name, record));
    let mut options = Options::default();
    options.set(OptionId::BufferSize, 4096);
    options.set(OptionId::AggregationSize, 4096);
    Plan {
        clauses: clauses.collect(),
        options,
        ..Plan::default()
    }
}

/// What is shown, what is told, and the exit status.
fn trace(kernel: &Played, plan: Plan, steps: Vec<Step<'_>>) -> (String, String, u8) {
    let mut stage = Stage::new(steps);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = run::trace(kernel, plan, &mut stage, &mut out, &mut err).unwrap();
    assert!(stage.begun && kernel.stopped.get());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), status)
}

fn who(pid: i64, name: &'static str) -> Vec<(BuiltIn, Is)> {
    vec![
        (BuiltIn::Pid, Is::Number(pid)),
        (BuiltIn::Execname, Is::Text(name)),
    ]
}

#[test]
fn the_default_form() {
    let kernel = kernel();
    let plan = plan(&[("BEGIN", &[]), ("read:", &[]), ("END", &[])]);
    let steps: Vec<Step<'_>> = vec![Box::new(|| {
        kernel.fire(0, READ, &[]);
        kernel.fire(1, READ_RETURN, &[]);
    })];
    let (out, err, status) = trace(&kernel, plan, steps);
    // BEGIN's CPU comes first.
    assert_eq!(
        out,
        "\
CPU     ID                    FUNCTION:NAME
  1      1                           :BEGIN
  1      5                      read:return
  0      4                       read:entry
  0      2                             :END
"
    );
    assert_eq!(
        err,
        "\
dtrace: description 'BEGIN' matched 1 probe
dtrace: description 'read:' matched 2 probes
dtrace: description 'END' matched 1 probe
"
    );
    assert_eq!(status, 0);
}

#[test]
fn recorded_fields_have_columns() {
    let kernel = kernel();
    let fields: &[&str] = &["pid", "execname", "arg0", "uid"];
    let plan = plan(&[(OPENAT, fields)]);
    let steps: Vec<Step<'_>> = vec![Box::new(|| {
        let mut variables = who(7, "cat");
        variables.push((BuiltIn::Arg0, Is::Number(-100)));
        kernel.fire(0, OPENAT, &variables);
        variables[2].1 = Is::Number(0x7ffd_0000_1234);
        variables[1].1 = Is::Text("a\x1b[2J");
        kernel.fire(0, OPENAT, &variables);
    })];
    let (out, ..) = trace(&kernel, plan, steps);
    assert_eq!(
        out,
        "\
CPU     ID                    FUNCTION:NAME      PID EXECNAME                       ARG0      UID
  0      6                     openat:entry        7 cat                            -100        0
  0      6                     openat:entry        7 a\\u{1b}[2J           0x7ffd00001234        0
"
    );
}

#[test]
fn quiet_shows_values_alone() {
    let kernel = kernel();
    let mut plan = plan(&[(READ, &["pid", "execname"]), ("END", &[])]);
    plan.options.set(OptionId::Quiet, 1);
    let steps: Vec<Step<'_>> = vec![Box::new(|| kernel.fire(0, READ, &who(7, "cat")))];
    let (out, err, _) = trace(&kernel, plan, steps);
    assert_eq!((out.as_str(), err.as_str()), ("7 cat\n", ""));
}

#[test]
fn flow_is_indented_by_cpu() {
    let kernel = kernel();
    let mut plan = plan(&[("syscall:::", &["pid"])]);
    plan.options.set(OptionId::FlowIndent, 1);
    let steps: Vec<Step<'_>> = vec![Box::new(|| {
        // A return whose entry was not seen.
        kernel.fire(0, READ_RETURN, &who(7, ""));
        kernel.fire(0, READ, &who(7, ""));
        kernel.fire(0, OPENAT, &who(7, ""));
        kernel.fire(0, READ_RETURN, &who(7, ""));
        kernel.fire(1, READ, &who(8, ""));
    })];
    let (out, ..) = trace(&kernel, plan, steps);
    assert_eq!(
        out,
        "\
CPU FUNCTION                                       PID
  1  => read                                         8
  0  <= read                                         7
  0  => read                                         7
  0    => openat                                     7
  0    <= read                                       7
"
    );
}

#[test]
fn json_is_an_object_a_line() {
    let kernel = kernel();
    let mut plan = plan(&[(READ, &["pid", "execname", "caller"]), ("END", &[])]);
    plan.form = Form::Json;
    let steps: Vec<Step<'_>> = vec![Box::new(|| {
        let mut variables = who(7, "cat");
        variables.push((BuiltIn::Caller, Is::Number(-1)));
        kernel.fire(1, READ, &variables);
        kernel.drops.borrow_mut()[1] = 12;
    })];
    let (out, err, _) = trace(&kernel, plan, steps);
    assert_eq!(
        out,
        "\
{\"type\":\"record\",\"cpu\":1,\"id\":4,\"provider\":\"syscall\",\"module\":\"vmlinux\",\
\"function\":\"read\",\"name\":\"entry\",\
\"values\":{\"pid\":7,\"execname\":\"cat\",\"caller\":\"0xffffffffffffffff\"}}
{\"type\":\"drops\",\"kind\":\"principal\",\"cpu\":1,\"count\":12}
{\"type\":\"record\",\"cpu\":0,\"id\":2,\"provider\":\"dtrace\",\"module\":\"\",\
\"function\":\"\",\"name\":\"END\"}
"
    );
    assert!(err.ends_with("dtrace: 12 drops on CPU 1\n"));
}

#[test]
fn drops_and_errors_are_told() {
    let kernel = kernel();
    let plan = plan(&[(READ, &["pid"])]);
    let steps: Vec<Step<'_>> = vec![
        Box::new(|| {
            kernel.drops.borrow_mut()[0] = 1;
            kernel.status.borrow_mut().dynamic_drops = 3;
        }),
        Box::new(|| {
            // ERROR's clause was enabled first, then READ's: enabled probe 2.
            let arguments = [
                BuiltIn::Arg1,
                BuiltIn::Arg2,
                BuiltIn::Arg3,
                BuiltIn::Arg4,
                BuiltIn::Arg5,
            ];
            let values = [2, 1, 8, 1, 0x10].map(Is::Number);
            let variables: Vec<_> = arguments.into_iter().zip(values).collect();
            kernel.fire(1, "dtrace:::ERROR", &variables);
            kernel.status.borrow_mut().dynamic_drops = 5;
        }),
    ];
    let (out, err, status) = trace(&kernel, plan, steps);
    assert_eq!(out, "");
    assert_eq!(
        err,
        "\
dtrace: description 'syscall:vmlinux:read:entry' matched 1 probe
dtrace: 1 drop on CPU 0
dtrace: 3 dynamic variable drops
dtrace: error on enabled probe ID 2 (ID 4: syscall:vmlinux:read:entry): \
invalid address (0x10) in action #1 at DIF offset 8
dtrace: 2 dynamic variable drops
"
    );
    assert_eq!(status, 0);
}

#[test]
fn damaged_buffers_are_told_and_fail() {
    let kernel = kernel();
    let plan = plan(&[(READ, &["pid"])]);
    let steps: Vec<Step<'_>> = vec![
        Box::new(|| {
            kernel.fire(0, READ, &who(7, "cat"));
            kernel.spoil(0, &99_u32.to_ne_bytes());
        }),
        // The next buffer is read again.
        Box::new(|| kernel.fire(0, READ, &who(8, "cat"))),
    ];
    let (out, err, status) = trace(&kernel, plan, steps);
    assert_eq!(out.lines().count(), 3);
    assert!(err.contains("the buffer of CPU 0 is damaged"), "{err}");
    assert!(err.contains("there is no enabled probe 99"), "{err}");
    assert_eq!(status, 1);
}

#[test]
fn counts_by_name() {
    let kernel = kernel();
    let mut plan = plan(&[(READ, &[])]);
    plan.clauses[0].1.aggregate = Some(Aggregate {
        function: ActionKind::Count,
        value: None,
        by: vec!["execname".parse().unwrap(), "pid".parse().unwrap()],
    });
    let steps: Vec<Step<'_>> = vec![
        Box::new(|| {
            for cpu in [0, 1, 1] {
                kernel.fire(cpu, READ, &who(7, "cat"));
            }
            kernel.fire(0, READ, &who(8, "dd"));
        }),
        Box::new(|| kernel.fire(0, READ, &who(7, "cat"))),
    ];
    let (out, ..) = trace(&kernel, plan, steps);
    assert_eq!(
        out,
        "
  dd                               8                                1
  cat                              7                                4
"
    );
}

#[test]
fn all_probes_of_a_clause_count_together() {
    let kernel = kernel();
    let mut plan = plan(&[("syscall:::", &[])]);
    plan.clauses[0].1.aggregate = Some(Aggregate {
        function: ActionKind::Count,
        value: None,
        by: vec!["execname".parse().unwrap()],
    });
    let steps: Vec<Step<'_>> = vec![Box::new(|| {
        kernel.fire(0, READ, &who(7, "cat"));
        kernel.fire(1, READ_RETURN, &who(7, "cat"));
    })];
    let (out, ..) = trace(&kernel, plan, steps);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.ends_with(" 2\n"));
}

#[test]
fn distributions() {
    let quantize = || {
        let mut plan = plan(&[(READ_RETURN, &[])]);
        plan.clauses[0].1.aggregate = Some(Aggregate {
            function: ActionKind::Quantize,
            value: Some("arg0".parse().unwrap()),
            by: vec!["execname".parse().unwrap()],
        });
        plan
    };
    fn steps(kernel: &Played) -> Vec<Step<'_>> {
        vec![Box::new(|| {
            for size in [-1, 0, 5, 6, 7, 9] {
                let mut variables = who(7, "cat");
                variables.push((BuiltIn::Arg0, Is::Number(size)));
                kernel.fire(0, READ_RETURN, &variables);
            }
        })]
    }
    let kernel_ = kernel();
    let mut shown = quantize();
    shown.options.set(OptionId::AggregationSize, 1 << 16);
    let (out, ..) = trace(&kernel_, shown, steps(&kernel_));
    assert_eq!(
        out,
        "
  cat
           value  ------------- Distribution ------------- count
              -2 |                                         0
              -1 |@@@@@@@                                  1
               0 |@@@@@@@                                  1
               1 |                                         0
               2 |                                         0
               4 |@@@@@@@@@@@@@@@@@@@@                     3
               8 |@@@@@@@                                  1
              16 |                                         0

"
    );
    let kernel_ = kernel();
    let mut shown = quantize();
    shown.options.set(OptionId::AggregationSize, 1 << 16);
    shown.form = Form::Json;
    let (out, ..) = trace(&kernel_, shown, steps(&kernel_));
    assert_eq!(
        out,
        "{\"type\":\"aggregation\",\"probe\":\"syscall:vmlinux:read:return\",\
         \"function\":\"quantize\",\"key\":{\"execname\":\"cat\"},\"buckets\":[\
         {\"from\":\"-1\",\"count\":1},{\"from\":\"0\",\"count\":1},\
         {\"from\":\"4\",\"count\":3},{\"from\":\"8\",\"count\":1}]}\n"
    );
}

#[test]
fn accounting_by_cpu() {
    let mut kernel = kernel();
    kernel.accounting = [(0, 1), (1, 1), (dtrace_interface::CPU_ALL, 2)]
        .map(|(cpu, times)| Accounting {
            cpu,
            hits: 10 * times,
            records: 8 * times,
            drops: 2 * times,
            nested: times,
            switches: 6,
            ..Accounting::ZERO
        })
        .to_vec();
    let mut shown = plan(&[(READ, &[])]);
    shown.accounting = true;
    let (out, ..) = trace(&kernel, shown, vec![]);
    assert_eq!(
        out,
        "\
CPU       hits    records      drops predicate-false self-filtered   inactive     errors     nested
  0         10          8          2               0             0          0          0          1
  1         10          8          2               0             0          0          0          1
all         20         16          4               0             0          0          0          2
aggregation-drops 0, dynamic-drops 0, rinsing-drops 0, dirty-drops 0, switches 6
"
    );
    let mut shown = plan(&[(READ, &[])]);
    shown.accounting = true;
    shown.form = Form::Json;
    let (out, ..) = trace(&kernel, shown, vec![]);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    for (name, expected) in [("hits", 20), ("missing", 0), ("switches", 6)] {
        assert_eq!(last[name], expected, "{name}");
    }
    assert_eq!(last["cpu"], "all");
}

#[test]
fn lists() {
    let kernel = kernel();
    let list = |plan: &Plan| {
        let mut out = Vec::new();
        run::list(&kernel, plan, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        list(&plan(&[
            ("read:", &[]),
            (":::BEGIN", &[]),
            ("read:entry", &[])
        ])),
        "   ID   PROVIDER            MODULE                          FUNCTION NAME
    1     dtrace                                                     BEGIN
    4    syscall           vmlinux                              read entry
    5    syscall           vmlinux                              read return
"
    );
    assert_eq!(list(&plan(&[])).lines().count(), 7);
    let mut json = plan(&[("BEGIN", &[])]);
    json.form = Form::Json;
    assert_eq!(
        list(&json),
        "{\"type\":\"probe\",\"id\":1,\"provider\":\"dtrace\",\"module\":\"\",\"function\":\"\",\"name\":\"BEGIN\"}\n"
    );
}

fn refusal(kernel: &Played, plan: Plan) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = run::trace(kernel, plan, &mut Stage::new(vec![]), &mut out, &mut err);
    format!("{:#}", result.unwrap_err())
}

#[test]
fn names_that_match_nothing() {
    assert_eq!(
        refusal(&kernel(), plan(&[("syscall::raed:entry", &[])])),
        "probe description syscall::raed:entry does not match any probes\n\
         hint: did you mean `syscall::read:entry`?"
    );
    assert!(refusal(&kernel(), plan(&[("io:::start", &[])])).contains("dtrace -l lists all 6"));
    let mut no_id = plan(&[("a", &[])]);
    no_id.clauses[0].1.name = ProbeName::default();
    no_id.clauses[0].1.id = Some(77);
    assert!(refusal(&kernel(), no_id).contains("there is no probe 77"));
    let mut zero = plan(&[("io:::start", &[])]);
    zero.zero_is_fine = true;
    let (_, err, _) = trace(&kernel(), zero, vec![]);
    assert_eq!(err, "dtrace: description 'io:::start' matched 0 probes\n");
}

#[test]
fn what_the_kernel_refuses_is_told_in_its_words() {
    let kernel = kernel();
    *kernel.refusal.borrow_mut() = Some("too large".into());
    assert_eq!(
        refusal(&kernel, plan(&[(READ, &[])])),
        "option bufsize=4096 is refused: could not enable it: too large"
    );
}

#[test]
fn checking_enables_nothing() {
    let kernel = kernel();
    let mut checked = plan(&[(READ, &["pid"])]);
    checked.check_only = true;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut stage = Stage::new(vec![]);
    assert_eq!(
        run::trace(&kernel, checked, &mut stage, &mut out, &mut err).unwrap(),
        0
    );
    assert!(!stage.begun && !kernel.stopped.get() && out.is_empty());
}

#[test]
fn what_ends_it() {
    // The end of what is traced is told.
    let kernel_ = kernel();
    let end = End::Over("pid 7 has exited".into());
    let mut stage = Stage::new(vec![]).ending(end);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    run::trace(
        &kernel_,
        plan(&[(READ, &[])]),
        &mut stage,
        &mut out,
        &mut err,
    )
    .unwrap();
    assert!(String::from_utf8(err)
        .unwrap()
        .ends_with("dtrace: pid 7 has exited\n"));

    // The kernel's word, before the steps are over.
    let kernel_ = kernel();
    let exits = |flag: fn(&Played)| {
        let kernel = &kernel_;
        let steps: Vec<Step<'_>> = vec![
            Box::new(move || flag(kernel)),
            Box::new(|| panic!("it went on")),
        ];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        run::trace(
            kernel,
            plan(&[(READ, &[])]),
            &mut Stage::new(steps),
            &mut out,
            &mut err,
        )
    };
    let exited = exits(|kernel| kernel.status.borrow_mut().exiting = 1);
    assert_eq!(exited.unwrap(), 0);
    let killed = exits(|kernel| kernel.status.borrow_mut().killed = 1);
    assert!(killed
        .unwrap_err()
        .to_string()
        .contains("processing aborted"));
}

#[test]
fn a_ring_is_read_at_the_end_only() {
    let kernel = kernel();
    let mut ring = plan(&[(READ, &["pid"])]);
    ring.options.set_text("bufpolicy=ring").unwrap();
    ring.options.set(OptionId::Quiet, 1);
    let steps: Vec<Step<'_>> = vec![
        Box::new(|| kernel.fire(0, READ, &who(7, ""))),
        Box::new(|| kernel.fire(0, READ, &who(8, ""))),
    ];
    let (out, ..) = trace(&kernel, ring, steps);
    assert_eq!(out, "7\n8\n");
}

#[test]
fn lowered_buffers_are_told() {
    let mut kernel = kernel();
    kernel.forced = vec![(OptionId::BufferSize, 1024)];
    let (_, err, _) = trace(&kernel, plan(&[(READ, &[])]), vec![]);
    assert!(
        err.ends_with("dtrace: buffer size lowered to 1024 bytes\n"),
        "{err}"
    );
}

fn printing(format: &str, values: &[&str]) -> Plan {
    let mut plan = plan(&[(READ, &[])]);
    plan.clauses[0].1.printf = vec![Printf {
        format: format.to_owned(),
        values: values.iter().map(|field| field.parse().unwrap()).collect(),
    }];
    plan
}

#[test]
fn formats_in_each_form() {
    let shown = |change: &dyn Fn(&mut Plan)| {
        let kernel = kernel();
        let mut plan = printing("%s has %05d\n", &["execname", "pid"]);
        change(&mut plan);
        let steps: Vec<Step<'_>> = vec![Box::new(|| {
            kernel.fire(0, READ, &who(7, "cat"));
            kernel.fire(0, READ, &who(8, "a\x1b[2J"));
        })];
        trace(&kernel, plan, steps).0
    };
    assert_eq!(
        shown(&|_| {}),
        "\
CPU     ID                    FUNCTION:NAME
  0      4                       read:entry cat has 00007

  0      4                       read:entry a\\u{1b}[2J has 00008

"
    );
    let quiet = |plan: &mut Plan| plan.options.set(OptionId::Quiet, 1);
    assert_eq!(shown(&quiet), "cat has 00007\na\\u{1b}[2J has 00008\n");
    let json = shown(&|plan| plan.form = Form::Json);
    let first = json.lines().next().unwrap();
    assert!(first.ends_with(r#""printf":"cat has 00007\n"}"#), "{first}");
    let flow = shown(&|plan| {
        quiet(plan);
        plan.options.set(OptionId::FlowIndent, 1);
    });
    assert!(flow.starts_with("  0  => read "), "{flow}");
    assert!(flow.contains(" cat has 00007\n\n"), "{flow}");
}

#[test]
fn aggregations_by_a_format() {
    let shown = |format: &str, form| {
        let kernel = kernel();
        let mut plan = plan(&[(READ, &[])]);
        plan.options.set(OptionId::Quiet, 1);
        plan.form = form;
        plan.printa = Some(format.to_owned());
        plan.clauses[0].1.aggregate = Some(Aggregate {
            function: ActionKind::Count,
            value: None,
            by: vec!["execname".parse().unwrap(), "pid".parse().unwrap()],
        });
        let steps: Vec<Step<'_>> = vec![Box::new(|| {
            for pid in [7, 7, 8] {
                kernel.fire(1, READ, &who(pid, "cat"));
            }
        })];
        trace(&kernel, plan, steps).0
    };
    let format = "%-5s[%d] %@3d\n";
    assert_eq!(shown(format, Form::Text), "cat  [8]   1\ncat  [7]   2\n");
    // Keys that it does not take are not shown.
    assert_eq!(shown("%@d ", Form::Text), "1 2 ");
    let json = shown(format, Form::Json);
    let last = json.lines().last().unwrap();
    assert_eq!(
        last,
        r#"{"type":"printa","text":"cat  [8]   1\ncat  [7]   2\n"}"#
    );
}

#[test]
fn a_kernel_that_ended_it_is_told_of_though_the_target_was_over_first() {
    let kernel = kernel();
    let mut stage = Stage::new(vec![Box::new(|| kernel.status.borrow_mut().killed = 1)]);
    stage = stage.ending(End::Over("pid 7 has exited".to_owned()));
    let mut plan = plan(&[(READ, &[])]);
    // Nobody asks for it while it traces.
    plan.options.set(OptionId::StatusRate, 3600 * 1_000_000_000);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = run::trace(&kernel, plan, &mut stage, &mut out, &mut err);
    let told = ended.unwrap_err().to_string();
    assert!(told.contains("the kernel ended it"), "{told}");
    assert!(kernel.stopped.get());
}

#[test]
fn a_full_buffer_ends_it_and_is_told_of() {
    let kernel = kernel();
    let mut plan = plan(&[(READ, &["pid"])]);
    plan.options.set(OptionId::BufferPolicy, 1);
    let steps: Vec<Step<'_>> = vec![
        Box::new(|| kernel.fire(0, READ, &who(7, "cat"))),
        Box::new(|| kernel.status.borrow_mut().filled = 1),
        Box::new(|| panic!("it goes on")),
    ];
    let (out, err, status) = trace(&kernel, plan, steps);
    assert_eq!(out.lines().count(), 2);
    assert!(err.ends_with("dtrace: a buffer is full\n"), "{err}");
    assert_eq!(status, 0);
}

#[test]
fn names_that_make_their_probe_are_listed() {
    let kernel = kernel();
    kernel.timers.set(true);
    let mut plan = plan(&[("profile:::tick-7s", &[])]);
    let mut out = Vec::new();
    run::list(&kernel, &plan, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.ends_with(" tick-7s\n"), "{out}");
    plan.check_only = true;
    let mut stage = Stage::new(Vec::new());
    let checked = run::trace(&kernel, plan, &mut stage, &mut Vec::new(), &mut Vec::new());
    assert_eq!(checked.unwrap(), 0);
    assert!(!stage.begun);
}
