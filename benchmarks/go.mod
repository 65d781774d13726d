module example.com/chanio/benchmarks

go 1.26.0

replace example.com/chanio => ../

require (
	example.com/chanio v0.0.0-00010101000000-000000000000
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
)
