package gateway

// observer returns who reads along a try at v; nil: nobody.
func (x *exchange) observer(*version) observer { return nil }

// measure fills what is known only when the exchange is over.
func (x *exchange) measure() {}
