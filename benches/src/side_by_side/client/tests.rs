use super::*;

#[test]
fn the_summary_of_wrk_is_read_with_all_its_errors() {
    let output = "Running 1s test @ http://127.0.0.1\nsummary 1001000 40000 12000000 1 2 3 4 5\n";
    let expected = Outcome { requests: 40_000, seconds: 1.001, failures: 15, bytes: 12_000_000 };
    assert_eq!(parse_wrk(output), Some(expected));
    assert_eq!(parse_wrk("unable to connect"), None);
}

#[test]
fn the_summary_of_h2load_is_read_with_all_that_is_no_success() {
    let output = "\
Application protocol: h2
finished in 5.00s, 20000.20 req/s, 4.2MB/s
requests: 100128 total, 100128 started, 100001 done, 99990 succeeded, 11 failed, 7 errored, 4 timeout
status codes: 99990 2xx, 3 3xx, 2 4xx, 1 5xx
traffic: 20.98MB (22000220) total, 3.05MB (3200032) headers (space savings 80.12%), 12.40MB (13000130) data
";
    let expected = Outcome { requests: 99_990, seconds: 5.0, failures: 11 + 7 + 4 + 6, bytes: 13_000_130 };
    assert_eq!(parse_h2load(output), Some(expected));
    let fallen_back = output.replace("protocol: h2", "protocol: http/1.1");
    assert_eq!(parse_h2load(&fallen_back).map(|outcome| outcome.failures), Some(expected.failures + 1));
    let short = output.replace("5.00s", "997.85ms");
    assert_eq!(parse_h2load(&short).map(|outcome| outcome.seconds), Some(0.99785));
    assert_eq!(parse_h2load("finished in 5s"), None);
}
