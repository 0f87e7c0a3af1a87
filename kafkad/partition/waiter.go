package partition

// waiter waits until an offset is reached.
type waiter struct {
	need  int64
	token any
}

// waiters are kept in ascending order of need. They are few: at most what clients have in flight.
type waiters struct{ list []waiter }

func (q *waiters) add(w waiter) {
	i := len(q.list)
	for i > 0 && q.list[i-1].need > w.need { // only duplicates come out of order
		i--
	}
	q.list = append(q.list, waiter{})
	copy(q.list[i+1:], q.list[i:])
	q.list[i] = w
}

// take removes the first waiter if it needs no more than reached.
func (q *waiters) take(reached int64) (waiter, bool) {
	if len(q.list) == 0 || q.list[0].need > reached {
		return waiter{}, false
	}
	w := q.list[0]
	q.drop(0)
	return w, true
}

func (q *waiters) remove(token any) bool {
	for i := range q.list {
		if q.list[i].token == token {
			q.drop(i)
			return true
		}
	}
	return false
}

func (q *waiters) drop(i int) {
	copy(q.list[i:], q.list[i+1:])
	q.list[len(q.list)-1] = waiter{}
	q.list = q.list[:len(q.list)-1]
}
