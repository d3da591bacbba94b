package simulate

import "math"

// crowd is how the requests of a day spread over its users, in groups of equally active ones. The next day brings others.
type crowd struct {
	day          float64   // requests of a day
	count, share []float64 // of each group: users, and one user's share of the requests
	squares      float64   // sum over users of the squared share
	icc          float64
}

// newCrowd groups users by rank: exact for the first hundred, then in steps of 5 %.
func newCrowd(o *Options) *crowd {
	c := &crowd{icc: o.ICC, day: o.Rate * secondsADay}
	total := 0.0
	users := float64(o.Users)
	for from := 1.0; from <= users; {
		to := math.Min(users+1, math.Max(from+1, math.Floor(from*1.05)))
		rate := math.Pow((from+to-1)/2, -o.Activity.Zipf)
		c.count, c.share = append(c.count, to-from), append(c.share, rate)
		total += rate * (to - from)
		from = to
	}
	for i := range c.share {
		c.share[i] /= total
		c.squares += c.count[i] * c.share[i] * c.share[i]
	}
	return c
}

// seen is how many different users n requests of one day come from, on average.
func (c *crowd) seen(n float64) (users float64) {
	for i, s := range c.share {
		users -= c.count[i] * math.Expm1(-n*s)
	}
	return users
}

// until is how many requests bring so many different users.
func (c *crowd) until(users float64) float64 {
	return c.requests(users, c.seen)
}

// effective is how many independent requests n requests of one day are worth. A user sends n s of them, so that the variance of a mean is
// 1 + icc (n sum s^2 - 1) times as large.
func (c *crowd) effective(n float64) float64 {
	return n / (1 + c.icc*math.Max(0, n*c.squares-1))
}

// inverse is how many requests are worth that many independent ones.
func (c *crowd) inverse(effective float64) float64 {
	return c.requests(effective, c.effective)
}

// over is what a number of requests bring, over as many days as they take.
func (c *crowd) over(n float64, oneDay func(float64) float64) float64 {
	days := math.Floor(n / c.day)
	return days*oneDay(c.day) + oneDay(n-days*c.day)
}

// requests inverts over by bisection.
func (c *crowd) requests(amount float64, oneDay func(float64) float64) float64 {
	if amount <= 0 || math.IsInf(amount, 1) {
		return math.Max(0, amount)
	}
	days := math.Floor(amount / oneDay(c.day))
	amount -= days * oneDay(c.day)
	lo, hi := 0.0, c.day
	for range 40 {
		if mid := (lo + hi) / 2; oneDay(mid) < amount {
			lo = mid
		} else {
			hi = mid
		}
	}
	return days*c.day + hi
}
