use super::*;
use crate::files::mutation::try_many;

const HEADER: &str = "time,reference,sku,quantity,zone,by\n";

fn orders(rows: &str) -> Result<Vec<Order>, String> {
    read_all("o.csv", format!("{HEADER}{rows}").as_bytes()).map_err(|faults| faults.to_string())
}

#[test]
fn rows_of_one_time_and_reference_are_one_order() {
    let read = orders(
        "2026-12-01T08:00:00Z,A1,mug,2,de,2026-12-24\n2026-12-01T08:00:00Z,A1,cup,1,de,2026-12-24\n\
         2026-12-01T08:00:00Z,,mug,1,de,\n2026-12-01T08:00:00Z,,mug,1,de,\n\
         2026-12-01T09:30:00.5+01:00,A1,mug,-2,de,\n",
    )
    .expect("good");
    let spelled: Vec<_> = read.iter().map(|o| (o.line, &*o.reference, o.lines.len(), o.by.is_some())).collect();
    assert_eq!(spelled, [(2, "A1", 2, true), (4, "", 1, false), (5, "", 1, false), (6, "A1", 1, false)]);
    let at = Moment::from_timestamp("2026-12-01T08:30:00.5Z".parse().expect("an instant"));
    assert_eq!(read[3].time, OrderTime::Instant(at));
    assert_eq!(read[3].lines[0].quantity, -2, "a return");
}

#[test]
fn columns_may_stand_in_any_order_and_two_may_be_missing() {
    let csv = "channel,by,zone,quantity,sku,reference,time,service\r\nweb,,de,1,mug,A,2026-12-01T08:00,express\r\n";
    let read = read_all("o.csv", csv.as_bytes()).expect("good");
    assert_eq!((read[0].channel.as_deref(), read[0].service.as_deref()), (Some("web"), Some("express")));
    let civil = OrderTime::Civil(Day::parse("2026-12-01").expect("a date"), TimeOfDay(480));
    assert_eq!(read[0].time, civil);
    assert_eq!(orders("2026-12-01T08:00,A,mug,1,de,\n").expect("good")[0].channel, None);
}

#[test]
fn all_faults_of_orders_are_named_with_line_and_column() {
    assert_eq!(
        orders(
            "2026-12-01T08:00:00Z,A1,,0,de,soon\n2026-12-01,A2,mug,1000001,,\n2026-12-01T08:00:00Z,A3,mug,x,de,\n\
             2026-12-01T07:59:59Z,A4,mug,1,de,\n2026-12-01T25:00:00Z,A5,mug,1,de,\n2026-12-01T08:00:00,A6,mug,1,de,\n\
             2026-12-01T08:00:00Z,A7,mug,1,de,\n2026-12-01T08:00:00Z,A7,mug,1,at,2026-12-24\n"
        )
        .expect_err("faults"),
        "o.csv:2:25: is empty; a name is needed\n\
         o.csv:2:26: is 0; order at least 1, or write what came back below zero\n\
         o.csv:2:31: 'soon' is not a date; write YYYY-MM-DD\n\
         o.csv:3:1: '2026-12-01' is not a time; write 2026-12-24T08:00:00Z, or 2026-12-24T08:00 for the zone's own time\n\
         o.csv:3:19: is 1000001; it must lie between -1000000 and 1000000\n\
         o.csv:3:27: is empty; a name is needed\n\
         o.csv:4:29: 'x' is not a whole number; write digits only\n\
         o.csv:5:1: comes before the time on line 4; sort the file by time\n\
         o.csv:6:1: '2026-12-01T25:00:00Z' is not a time; write 2026-12-24T08:00:00Z, or 2026-12-24T08:00 for the zone's own \
         time\n\
         o.csv:7:1: '2026-12-01T08:00:00' is not a time; write 2026-12-24T08:00:00Z, or 2026-12-24T08:00 for the zone's own \
         time\n\
         o.csv:9:31: differs from line 8 of the same order\n\
         o.csv:9:34: differs from line 8 of the same order"
    );
    let many = "2026-12-01T08:00:00Z,A1,mug,1,de,\n".repeat(101);
    assert_eq!(orders(&many).expect_err("a fault"), "o.csv:102:22: has more than 100 lines; part the order");
}

#[test]
fn civil_times_are_sorted_within_their_zone() {
    let good = "2026-12-01T08:00,A,mug,1,tokyo,\n2026-12-01T00:30,B,mug,1,berlin,\n2026-12-01T09:00,C,mug,1,tokyo,\n";
    assert_eq!(orders(good).expect("good").len(), 3);
    let rows = format!("{good}2026-12-01T00:29,D,mug,1,berlin,\n");
    assert_eq!(
        orders(&rows).expect_err("a fault"),
        "o.csv:5:1: comes before the time on line 3; sort the file by time"
    );
}

#[test]
fn orders_are_told_one_by_one() {
    let rows =
        format!("{HEADER}2026-12-01T08:00,A,mug,1,de,\n2026-12-01T08:01,B,mug,x,de,\n2026-12-01T08:02,C,mug,1,de,\n");
    let told: Vec<_> = Orders::new("o.csv", rows.as_bytes()).expect("a header").map(|o| o.map(|o| o.line)).collect();
    assert_eq!(told.iter().filter_map(|t| t.as_ref().ok()).collect::<Vec<_>>(), [&2, &4]);
    assert_eq!(told.iter().filter_map(|t| t.as_ref().err()).map(|f| f.line).collect::<Vec<_>>(), [3]);
}

#[test]
fn mutated_orders_never_panic() {
    let good = format!("{HEADER}2026-12-01T08:00:00Z,A1,mug,2,de,2026-12-24\n2026-12-01T08:00,A1,\"cup\",-1,de,\r\n");
    try_many("orders", 4_000, good.as_bytes(), |bytes| {
        let _ = read_all("o.csv", bytes);
    });
}
