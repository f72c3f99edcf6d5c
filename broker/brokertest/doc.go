// Package brokertest holds the tests that every implementation of package broker
// must pass. A test of the implementation calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		brokertest.Run(t, brokertest.Features{Durable: true}, func(t *testing.T) broker.Dialer {
//			return amqp.Dialer{URL: testenv.RabbitMQ(t)}
//		})
//	}
//
// The suite makes its own queues under names that nobody else uses and leaves
// them empty. It sleeps nowhere: that something does not happen is shown by what
// happens instead.
package brokertest
