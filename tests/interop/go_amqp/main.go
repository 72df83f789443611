// go-amqp (Azure, pure Go): AMQP 1.0 over TCP.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/Azure/go-amqp"
)

const (
	wait  = 10 * time.Second       // until something that must come is given up
	quiet = 300 * time.Millisecond // in which nothing may come
)

// client is a session that fails by panicking with what went wrong; check catches it.
type client struct {
	ctx     context.Context
	conn    *amqp.Conn
	session *amqp.Session
}

func must[T any](value T, err error) T {
	demand(err)
	return value
}

func demand(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(seen, wanted any) {
	if !reflect.DeepEqual(seen, wanted) {
		panic(fmt.Errorf("saw %v, wanted %v", seen, wanted))
	}
}

func fresh(stem string) string {
	random := make([]byte, 4)
	must(rand.Read(random))
	return "go-" + stem + "-" + hex.EncodeToString(random)
}

// queueNamed names a queue as another broker may want it: AMQP_QUEUE='/queue/{}'.
func queueNamed(name string) string {
	if form := os.Getenv("AMQP_QUEUE"); form != "" {
		return strings.Replace(form, "{}", name, 1)
	}
	return name
}

func freshQueue(stem string) string { return queueNamed(fresh(stem)) }

func dial(ctx context.Context, options *amqp.ConnOptions) client {
	url := "amqp://" + os.Getenv("HOST") + ":" + os.Getenv("AMQP_PORT")
	conn := must(amqp.Dial(ctx, url, options))
	return client{ctx, conn, must(conn.NewSession(ctx, nil))}
}

func (c client) sender(address string, options *amqp.SenderOptions) *amqp.Sender {
	return must(c.session.NewSender(c.ctx, address, options))
}

func (c client) receiver(address string, options amqp.ReceiverOptions) *amqp.Receiver {
	if options.Credit == 0 {
		options.Credit = 10
	}
	return must(c.session.NewReceiver(c.ctx, address, &options))
}

// send returns when all are settled as accepted.
func (c client) send(address string, messages ...*amqp.Message) {
	sender := c.sender(address, nil)
	for _, message := range messages {
		demand(sender.Send(c.ctx, message, nil))
	}
	demand(sender.Close(c.ctx))
}

func (c client) take(receiver *amqp.Receiver) *amqp.Message {
	return must(receiver.Receive(c.ctx, nil))
}

func (c client) accept(receiver *amqp.Receiver) *amqp.Message {
	message := c.take(receiver)
	demand(receiver.AcceptMessage(c.ctx, message))
	return message
}

func (c client) nothingMore(receiver *amqp.Receiver) {
	ctx, cancel := context.WithTimeout(c.ctx, quiet)
	defer cancel()
	if message, err := receiver.Receive(ctx, nil); err == nil {
		panic(fmt.Errorf("an unexpected message: %v", message.Value))
	}
}

func text(value string) *amqp.Message { return &amqp.Message{Value: value} }

func deliveryCount(message *amqp.Message) uint32 {
	if message.Header == nil {
		return 0
	}
	return message.Header.DeliveryCount
}

func keepsOrder(c client) {
	queue := freshQueue("order")
	sender := c.sender(queue, nil)
	receipts := make([]amqp.SendReceipt, 200)
	for i := range receipts {
		receipts[i] = must(sender.SendWithReceipt(c.ctx, text(fmt.Sprint(i)), nil))
	}
	for _, receipt := range receipts {
		state := must(receipt.Wait(c.ctx))
		equal(reflect.TypeOf(state), reflect.TypeOf(&amqp.StateAccepted{}))
	}
	receiver := c.receiver(queue, amqp.ReceiverOptions{Credit: 50})
	for i := range receipts {
		equal(c.accept(receiver).Value, fmt.Sprint(i))
	}
	c.nothingMore(receiver)
}

func passesSettledDeliveries(c client) {
	queue := freshQueue("settled")
	sender := c.sender(queue, &amqp.SenderOptions{SettlementMode: amqp.SenderSettleModeSettled.Ptr()})
	for i := range 50 {
		demand(sender.Send(c.ctx, text(fmt.Sprint(i)), nil))
	}
	receiver := c.receiver(queue, amqp.ReceiverOptions{
		RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr(),
	})
	for i := range 50 {
		equal(c.accept(receiver).Value, fmt.Sprint(i))
	}
	demand(receiver.Close(c.ctx))
	c.nothingMore(c.receiver(queue, amqp.ReceiverOptions{}))
}

func keepsSectionsAndTypes(c client) {
	queue, subject, reply := freshQueue("types"), "subject", "answers"
	message := &amqp.Message{
		Header: &amqp.MessageHeader{Durable: true, Priority: 7},
		Properties: &amqp.MessageProperties{
			MessageID: uint64(7), CorrelationID: amqp.UUID{1, 2, 3}, Subject: &subject, ReplyTo: &reply,
		},
		Annotations: amqp.Annotations{"x-opt-interop": int32(4)},
		ApplicationProperties: map[string]any{
			"int": int32(-5), "ulong": uint64(1 << 63), "text": "grüße", "yes": true, "double": 1.5, "byte": int8(-8),
		},
		Data: [][]byte{{0, 255}, {}, []byte("third")},
	}
	c.send(queue, message)
	seen := c.accept(c.receiver(queue, amqp.ReceiverOptions{}))
	equal(seen.Data, message.Data)
	equal(seen.ApplicationProperties, message.ApplicationProperties)
	equal(seen.Annotations["x-opt-interop"], int32(4))
	equal([]any{seen.Header.Durable, seen.Header.Priority}, []any{true, uint8(7)})
	equal([]any{seen.Properties.MessageID, seen.Properties.CorrelationID}, []any{uint64(7), amqp.UUID{1, 2, 3}})
	equal([]string{*seen.Properties.Subject, *seen.Properties.ReplyTo}, []string{subject, reply})
}

func settlesByOutcome(c client) {
	queue := freshQueue("outcomes")
	c.send(queue, text("x"))
	receiver := c.receiver(queue, amqp.ReceiverOptions{})
	message := c.take(receiver)
	demand(receiver.ReleaseMessage(c.ctx, message))
	message = c.take(receiver)
	equal(deliveryCount(message), uint32(0))
	demand(receiver.ModifyMessage(c.ctx, message, &amqp.ModifyMessageOptions{
		DeliveryFailed: true, Annotations: amqp.Annotations{"x-opt-interop": "seen"},
	}))
	message = c.take(receiver)
	equal(deliveryCount(message), uint32(1))
	equal(message.Annotations["x-opt-interop"], "seen")
	demand(receiver.ModifyMessage(c.ctx, message, &amqp.ModifyMessageOptions{UndeliverableHere: true}))
	c.nothingMore(receiver)
	other := c.receiver(queue, amqp.ReceiverOptions{})
	demand(other.RejectMessage(c.ctx, c.take(other), &amqp.Error{Condition: "interop:no"}))
	c.nothingMore(other)
	demand(other.Close(c.ctx))
	demand(receiver.Close(c.ctx))
	c.nothingMore(c.receiver(queue, amqp.ReceiverOptions{}))
}

func drainsCredit(c client) {
	queue := freshQueue("drain")
	c.send(queue, text("one"), text("two"))
	receiver := c.receiver(queue, amqp.ReceiverOptions{Credit: -1})
	demand(receiver.IssueCredit(1))
	equal(c.accept(receiver).Value, "one")
	c.nothingMore(receiver)
	demand(receiver.IssueCredit(5))
	equal(c.accept(receiver).Value, "two")
	demand(receiver.DrainCredit(c.ctx, nil))
	c.send(queue, text("three"))
	c.nothingMore(receiver)
	demand(receiver.IssueCredit(1))
	equal(c.accept(receiver).Value, "three")
}

func carriesLargeMessages(c client) {
	queue, body := freshQueue("large"), bytes.Repeat([]byte("TernMQ "), 1_500_000)
	small := dial(c.ctx, &amqp.ConnOptions{MaxFrameSize: 4096})
	defer small.conn.Close()
	small.send(queue, amqp.NewMessage(body), text("after"))
	receiver := small.receiver(queue, amqp.ReceiverOptions{})
	if !bytes.Equal(small.accept(receiver).GetData(), body) {
		panic(errors.New("the body of 10 MiB came back changed"))
	}
	equal(small.accept(receiver).Value, "after")
}

func answersOverDynamicAddress(c client) {
	queue := freshQueue("requests")
	answers := c.receiver("", amqp.ReceiverOptions{DynamicAddress: true})
	address, id := answers.Address(), "c-1"
	c.send(queue, &amqp.Message{Value: "ping", Properties: &amqp.MessageProperties{ReplyTo: &address}})
	server := dial(c.ctx, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain("ann", "s3cret")})
	defer server.conn.Close()
	request := server.accept(server.receiver(queue, amqp.ReceiverOptions{}))
	server.send(*request.Properties.ReplyTo, &amqp.Message{
		Value: "pong", Properties: &amqp.MessageProperties{CorrelationID: id},
	})
	answer := c.accept(answers)
	equal([]any{answer.Value, answer.Properties.CorrelationID}, []any{"pong", id})
}

func keepsDurableSubscription(c client) {
	topic, container := fresh("topic"), &amqp.ConnOptions{ContainerID: fresh("container")}
	subscription := amqp.ReceiverOptions{
		Name: "sub", SourceCapabilities: []string{"topic"},
		SourceDurability: amqp.DurabilityUnsettledState, SourceExpiryPolicy: amqp.ExpiryPolicyNever,
	}
	sender := c.sender(topic, &amqp.SenderOptions{TargetCapabilities: []string{"topic"}})
	for _, body := range []string{"one", "two"} {
		subscriber := dial(c.ctx, container)
		receiver := subscriber.receiver(topic, subscription)
		if body == "one" {
			demand(sender.Send(c.ctx, text(body), nil))
		}
		equal(subscriber.accept(receiver).Value, body)
		demand(subscriber.conn.Close())
		if body == "one" {
			demand(sender.Send(c.ctx, text("two"), nil))
		}
	}
	last := dial(c.ctx, container)
	defer last.conn.Close()
	demand(last.receiver(topic, subscription).Close(c.ctx))
}

func refusesOneLink(c client) {
	queue := freshQueue("refused")
	good := c.receiver(queue, amqp.ReceiverOptions{})
	_, err := c.session.NewSender(c.ctx, "closed.nothing", nil)
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Condition != amqp.ErrCondNotFound {
		panic(fmt.Errorf("the refused attach says %v", err))
	}
	c.send(queue, text("still here"))
	equal(c.accept(good).Value, "still here")
}

func attachesThousandTimes(c client) {
	queue := freshQueue("again")
	for i := range 1000 {
		if i%100 == 0 {
			c.send(queue, text("x"))
			receiver := c.receiver(queue, amqp.ReceiverOptions{Name: "r", Credit: 1})
			c.accept(receiver)
			demand(receiver.Close(c.ctx))
		} else {
			demand(c.receiver(queue, amqp.ReceiverOptions{Name: "r", Credit: 1}).Close(c.ctx))
		}
	}
}

func check(name string, body func(client)) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*wait)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			words := strings.Join(strings.Fields(fmt.Sprint(reason)), " ")
			fmt.Printf("FAIL go_amqp: %s: %.300s\n", name, words)
		} else {
			fmt.Printf("ok go_amqp: %s\n", name)
		}
	}()
	c := dial(ctx, nil)
	defer c.conn.Close()
	body(c)
}

func main() {
	check("200 messages keep their order", keepsOrder)
	check("settled deliveries pass both ways", passesSettledDeliveries)
	check("sections and types come back", keepsSectionsAndTypes)
	check("released, modified and rejected", settlesByOutcome)
	check("drain takes credit back", drainsCredit)
	check("10 MiB in frames of 4 KiB", carriesLargeMessages)
	check("a dynamic address gets the answer", answersOverDynamicAddress)
	check("a durable subscription keeps messages", keepsDurableSubscription)
	check("a refused link leaves the others", refusesOneLink)
	check("one link name attaches 1,000 times", attachesThousandTimes)
}
