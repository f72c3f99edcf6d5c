#!/usr/bin/env escript
%% Answers each line of standard input with what RabbitMQ's own code makes of it;
%% bytes are in hex. Its argument is the ebin directory of rabbit_common.
%%
%%   method CLASS METHOD BYTES   the arguments, decoded and encoded again
%%   properties BYTES            flags and list, decoded and encoded again
%%   table BYTES                 fields, decoded and encoded again
%%   arguments BYTES BYTES       two tables with a field k: equivalent, or the text
%%                               of the error when a queue has the first one
main([Ebin]) ->
    true = code:add_patha(Ebin),
    ok = io:setopts([binary, {encoding, latin1}]),
    loop().

loop() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            Words = binary:split(string:trim(Line), <<" ">>, [global]),
            Answer = try answer(Words) catch _:E -> ["error ", io_lib:format("~0p", [E])] end,
            io:put_chars([Answer, "\n"]),
            loop()
    end.

answer([<<"method">>, Class, Method, Hex]) ->
    Name = rabbit_framing_amqp_0_9_1:lookup_method_name({binary_to_integer(Class), binary_to_integer(Method)}),
    Record = rabbit_framing_amqp_0_9_1:decode_method_fields(Name, bytes(Hex)),
    hex(rabbit_framing_amqp_0_9_1:encode_method_fields(Record));
answer([<<"properties">>, Hex]) ->
    Record = rabbit_framing_amqp_0_9_1:decode_properties(60, bytes(Hex)),
    hex(rabbit_framing_amqp_0_9_1:encode_properties(Record));
answer([<<"table">>, Hex]) ->
    hex(rabbit_binary_generator:generate_table(table(Hex)));
answer([<<"arguments">>, Old, New]) ->
    Queue = rabbit_misc:r(<<"/">>, queue, <<"q">>),
    try
        ok = rabbit_misc:assert_args_equivalence(table(Old), table(New), Queue, [<<"k">>]),
        "equivalent"
    catch
        exit:{amqp_error, precondition_failed, Text, none} -> Text
    end.

table(Hex) -> rabbit_binary_parser:parse_table(bytes(Hex)).

bytes(Hex) -> << <<(binary_to_integer(<<A, B>>, 16))>> || <<A, B>> <= Hex >>.

hex(IoList) -> [io_lib:format("~2.16.0b", [B]) || <<B>> <= iolist_to_binary(IoList)].
