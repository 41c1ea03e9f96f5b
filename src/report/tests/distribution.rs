//! The distribution of a metric.

use super::text;
use crate::report::hgrm;
use crate::stats::Histogram;
use crate::units::NS_PER_MS;

#[test]
fn a_distribution_is_what_hdr_histograms_plotter_reads() {
    let mut histogram = Histogram::default();
    (1..=20_u64).for_each(|ms| histogram.record(ms * ms * NS_PER_MS));
    insta::assert_snapshot!(text(|out| hgrm::write("ttfc_from_intended", "completed invocations", &histogram, out)), @"
    #[ttfc_from_intended, completed invocations, milliseconds]
           Value     Percentile TotalCount 1/(1-Percentile)

           1.000 0.000000000000          1           1.00
           4.002 0.100000000000          2           1.11
          16.007 0.200000000000          4           1.25
          49.021 0.300000000000          7           1.43
          64.029 0.400000000000          8           1.67
         100.008 0.500000000000         10           2.00
         121.045 0.550000000000         11           2.22
         169.083 0.600000000000         13           2.50
         196.084 0.650000000000         14           2.86
         225.051 0.700000000000         15           3.33
         256.115 0.750000000000         16           4.00
         256.115 0.775000000000         16           4.44
         289.145 0.800000000000         17           5.00
         289.145 0.825000000000         17           5.71
         324.010 0.850000000000         18           6.67
         324.010 0.875000000000         18           8.00
         324.010 0.887500000000         18           8.89
         361.234 0.900000000000         19          10.00
         361.234 0.912500000000         19          11.43
         361.234 0.925000000000         19          13.33
         361.234 0.937500000000         19          16.00
         361.234 0.943750000000         19          17.78
         400.032 0.950000000000         20          20.00
         400.032 1.000000000000         20
    #[Mean    =      143.500, StdDeviation   =      124.658]
    #[Max     =      400.000, Total count    =           20]
    #[Buckets =           28, SubBuckets     =         2048]
    ");
}
